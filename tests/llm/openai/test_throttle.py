"""Flow control alone, without an endpoint: turns in the order of asking, never more at once than allowed, a rate near
what was admitted, and no place lost to whoever goes away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import settings as given_settings
from hypothesis import strategies as st

from mirsb_build.llm.openai import throttle as throttle_module
from mirsb_build.llm.openai.endpoint import seconds_of
from mirsb_build.llm.openai.throttle import Throttle


class Clock:
    """Time that passes only while everybody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, self._count, woken))
        await woken

    async def drive(self, work: Awaitable[object]) -> None:
        """Let time pass until the work is done."""
        task = asyncio.ensure_future(work)
        while not task.done():
            for _ in range(20):  # all that can go on without time passing
                await asyncio.sleep(0)
            if not task.done() and self._sleepers:
                first = min(self._sleepers)
                self._sleepers.remove(first)
                self.now = max(self.now, first[0])
                if not first[2].done():
                    first[2].set_result(None)
        await task


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The throttle's own clock; asyncio itself keeps the real one."""
    clock = Clock()

    class Time:
        monotonic = staticmethod(clock.monotonic)

    class Loop:
        sleep = staticmethod(clock.sleep)

        def __getattr__(self, name: str) -> object:
            return getattr(asyncio, name)

    monkeypatch.setattr(throttle_module, "time", Time)
    monkeypatch.setattr(throttle_module, "asyncio", Loop())
    return clock


def in_time(clock: Clock, work: Callable[[], Awaitable[object]]) -> None:
    asyncio.run(clock.drive(work()))


@given(
    most=st.integers(1, 6),
    fates=st.lists(st.sampled_from(["answered", "cancelled", "overloaded", "failed"]), min_size=1, max_size=40),
    seed=st.integers(0, 1000),
)
@given_settings(max_examples=60)
def test_there_are_never_more_at_once_than_allowed_and_no_place_is_ever_lost(
    most: int, fates: list[str], seed: int
) -> None:
    throttle, draw = Throttle(most), random.Random(seed)
    at_once = peak = 0

    async def one(fate: str) -> None:
        nonlocal at_once, peak
        async with throttle.turn():
            at_once += 1
            peak = max(peak, at_once)
            try:
                for _ in range(draw.randint(0, 3)):
                    await asyncio.sleep(0)
                if fate == "failed":
                    raise ValueError
                throttle.overloaded() if fate == "overloaded" else throttle.admitted()
            finally:
                at_once -= 1

    async def all_of_them() -> None:
        tasks = [asyncio.ensure_future(one(fate)) for fate in fates]
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancelled":
                for _ in range(draw.randint(0, 2)):
                    await asyncio.sleep(0)
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), timeout=5)
        assert throttle.running == 0
        async with asyncio.timeout(5):
            async with throttle.turn():  # somebody who comes after all of it is let in
                assert throttle.running == 1

    asyncio.run(all_of_them())
    assert peak <= most


def test_turns_are_given_in_the_order_in_which_they_were_asked_for() -> None:
    throttle = Throttle(3)
    order: list[int] = []

    async def one(n: int) -> None:
        async with throttle.turn():
            order.append(n)
            await asyncio.sleep(0.001 * (n % 3))

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(40)))

    asyncio.run(all_of_them())
    assert order == [*range(40)]


def test_who_goes_away_while_waiting_or_just_when_let_in_leaves_the_place_to_the_next() -> None:
    async def work() -> None:
        throttle = Throttle(1)
        done: list[str] = []

        async def one(name: str) -> None:
            async with throttle.turn():
                done.append(name)

        holder = throttle.turn()
        await holder.__aenter__()
        waiting = {name: asyncio.ensure_future(one(name)) for name in "abc"}
        await asyncio.sleep(0)
        waiting["a"].cancel()  # while it waits
        await asyncio.sleep(0)
        await holder.__aexit__(None, None, None)  # "b" is let in
        waiting["b"].cancel()  # and goes before it knows
        async with asyncio.timeout(5):
            await asyncio.gather(*waiting.values(), return_exceptions=True)
        assert done == ["c"]
        assert throttle.running == 0

    asyncio.run(work())


def test_an_overload_halves_how_many_are_asked_at_once_and_answers_bring_it_back(clock: Clock) -> None:
    throttle = Throttle(16)
    throttle.overloaded()
    assert throttle.concurrency == 8
    throttle.overloaded()  # of the same moment: sent before the endpoint was spared
    assert throttle.concurrency == 8
    clock.now += 2
    throttle.overloaded()
    assert throttle.concurrency == 4
    for _ in range(4):
        throttle.admitted()
    assert throttle.concurrency == pytest.approx(5, abs=0.2)  # one more for a window's worth of answers
    for _ in range(300):
        throttle.admitted()
    assert throttle.concurrency == 16


def test_one_call_at_a_time_is_the_least_that_is_left() -> None:
    throttle = Throttle(1)
    throttle.overloaded()
    assert throttle.concurrency == 1


@pytest.mark.parametrize("admits", [5.0, 20.0, 100.0])
def test_after_refusals_the_rate_comes_near_what_is_admitted(clock: Clock, admits: float) -> None:
    throttle = Throttle(64)
    tokens, filled = admits, clock.now
    taken: list[float] = []
    refused: list[float] = []

    async def one() -> None:
        nonlocal tokens, filled
        while True:
            async with throttle.turn():
                await clock.sleep(0.05)
                tokens, filled = min(admits, tokens + (clock.now - filled) * admits), clock.now
                if tokens >= 1:
                    tokens -= 1
                    taken.append(clock.now)
                    throttle.admitted()
                    return
                refused.append(clock.now)
                throttle.refused(None)
            await clock.sleep(0.5)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(int(admits * 30))))

    began = clock.now
    in_time(clock, all_of_them)
    assert len(taken) == int(admits * 30)
    late = [t for t in taken if t > began + 10]
    assert len(late) / (late[-1] - began - 10) >= 0.9 * admits
    assert len([t for t in refused if t > began + 10]) <= 0.1 * len(late)


def test_a_pause_lets_nobody_start_and_ends_by_itself(clock: Clock) -> None:
    throttle = Throttle(4)
    started: list[float] = []

    async def one() -> None:
        async with throttle.turn():
            started.append(clock.now)

    async def work() -> None:
        await one()
        throttle.pause(30)
        throttle.pause(5)  # a shorter one does not end it
        await asyncio.gather(*(one() for _ in range(6)))

    in_time(clock, work)
    assert started == [1000.0] + [1030.0] * 6


def test_a_long_wait_that_a_refusal_asks_for_holds_for_everyone(clock: Clock) -> None:
    throttle = Throttle(4)
    started: list[float] = []

    async def work() -> None:
        async with throttle.turn():
            throttle.refused(60.0)
        async with throttle.turn():
            started.append(clock.now)

    in_time(clock, work)
    assert started == [1060.0]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1.5s", 1.5),
        ("1h2m3s", 3723.0),
        ("", 0.0),
        ("soon", 0.0),
        ("7", 0.0),
    ],
)
def test_durations_of_rate_limit_headers_are_read_as_they_are_written(written: str, seconds: float) -> None:
    assert seconds_of(written) == pytest.approx(seconds)
