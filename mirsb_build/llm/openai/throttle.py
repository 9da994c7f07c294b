"""How fast an endpoint is asked: how many calls at once, how many a second, and when not at all.

Concurrency grows by one for every window's worth of answers and is halved when the endpoint is overloaded (503,
time-out). A rate is kept once the endpoint has refused calls for being too many (429): first what it admits while it is
measured for two seconds, then more for every second without a refusal, at a growing pace, and less after one, down to
what was admitted meanwhile.
Both start unbounded but for the profile's concurrency: an endpoint that never complains is kept as busy as it can be.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

MEASURED = 2.0
"""Seconds for which the admitted rate is measured after the first refusal."""
SETTLING = 1.0
"""Seconds after a change of the rate in which refusals are those of calls sent before it."""
LESS_RATE = 0.98
LEAST_LESS_RATE = 0.9
"""Share of the rate that one change leaves at least: a second is short for measuring a few calls."""
MORE_RATE = 0.002
"""Share by which the rate grows in the first second without a refusal; twice that in the next, and so on."""
MOST_MORE_RATE = 0.05
LESS_CONCURRENCY = 0.5
LATE = 0.05
"""Seconds that calls may catch up with their pace: the event loop wakes nobody on time."""


class Throttle:
    """Flow control of one endpoint; all methods belong to one event loop."""

    def __init__(self, concurrency: int) -> None:
        self.most = concurrency
        self.concurrency = float(concurrency)
        self.running = 0
        self.rate: float | None = None
        """Calls a second; None until the endpoint first refuses one."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._measuring_since: float | None = None
        self._measured = 0
        self._more = MORE_RATE
        self._next = 0.0
        self._pacing = asyncio.Lock()
        self._paused_until = 0.0
        self._rate_changed = 0.0
        self._last_refused = 0.0
        self._cut = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn and hold it for one call."""
        if self.running >= self._places() or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._release()
                raise
        else:
            self.running += 1
        try:
            await self._pace()
            yield
        finally:
            self._release()

    def admitted(self) -> None:
        """The endpoint took a call."""
        if self.concurrency < self.most:
            self.concurrency = min(self.most, self.concurrency + 1 / max(1.0, self.concurrency))
        now = time.monotonic()
        self._measured += 1
        if self._measuring_since is not None:
            self._end_measuring(now)
        elif self.rate is not None and now - max(self._rate_changed, self._last_refused) > SETTLING:
            self.rate *= 1 + self._more
            self._more = min(MOST_MORE_RATE, 2 * self._more)
            self._rate_changed, self._measured = now, 0

    def refused(self, retry_after: float | None) -> None:
        """The endpoint refused a call because there were too many."""
        now = time.monotonic()
        if retry_after is not None and retry_after > MEASURED:
            self.pause(retry_after)
        self._last_refused = now
        if self._measuring_since is not None:
            self._end_measuring(now)
        elif self.rate is None:
            self._measuring_since, self._measured = now, 0
        elif now - self._rate_changed > SETTLING:
            admitted = min(self.rate, self._measured / (now - self._rate_changed))
            self.rate = max(0.1, LEAST_LESS_RATE * self.rate, LESS_RATE * admitted)
            self._rate_changed, self._measured = now, 0
            self._more = MORE_RATE

    def _end_measuring(self, now: float) -> None:
        assert self._measuring_since is not None
        seconds = now - self._measuring_since
        if seconds >= MEASURED:
            self.rate = max(0.5, LESS_RATE * self._measured / seconds)
            self._measuring_since, self._measured = None, 0
            self._rate_changed = self._next = now

    def overloaded(self) -> None:
        """The endpoint could not cope (503, time-out): fewer at once."""
        now = time.monotonic()
        if now - self._cut > SETTLING:
            self.concurrency = max(1.0, self.concurrency * LESS_CONCURRENCY)
            self._cut = now

    def pause(self, seconds: float) -> None:
        """Send nothing for so long: the endpoint said when it will take calls again."""
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    async def _pace(self) -> None:
        """Wait for this call's place in time; in turn, so that a new rate or pause holds for all."""
        if self.rate is None and time.monotonic() >= self._paused_until:
            return
        async with self._pacing:
            while (wait := max(self._next, self._paused_until) - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            if self.rate is not None:
                self._next = max(self._next, time.monotonic() - LATE) + 1 / self.rate

    def _places(self) -> int:
        return max(1, int(self.concurrency))

    def _release(self) -> None:
        self.running -= 1
        while self._waiting and self.running < self._places():
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self.running += 1
                turn.set_result(None)
