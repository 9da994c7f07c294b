"""One endpoint, by the real client over a real server that fails on demand: every call is answered once in the end, or
ends with one line that says what to do; and the key is in none of the lines."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from mirsb_build.errors import MirsbError, ModelError
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.llm.openai.endpoint import Endpoint, Rejected
from mirsb_build.llm.openai.keys import NO_KEY
from tests.openai_server import KEY, Ceiling, Server, serve

CHAT = "/chat/completions"
ECHO = "Who sent {key} must be mistaken."


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.02)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as server:
        yield server


def endpoint(server: Server, *, key: str = KEY, concurrency: int = 8, **limits: float) -> Endpoint:
    return Endpoint(server.url, key, concurrency=concurrency, **({"timeout": 5.0, "deadline": 10.0} | limits))


def body(n: int, model: str = "tiny-1") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": f"Name thing number {n:03d} on the table."}]}


def ask(asked: Endpoint, count: int, first: int = 0) -> list[Any]:
    """What so many different calls at once give: answers and errors."""

    async def together() -> list[Any]:
        posts = (asked.post(CHAT, body(n)) for n in range(first, first + count))
        return await asyncio.gather(*posts, return_exceptions=True)

    return asyncio.run(together())


def all_answered_once(answers: Sequence[Any], server: Server) -> bool:
    """Whether every call has an answer of its own, and none was worked on twice."""
    errors = [answer for answer in answers if not isinstance(answer, dict)]
    assert not errors, errors[0]
    assert len({answer["id"] for answer in answers}) == len(answers)
    counts = server.counts()
    return (counts.calls, counts.repeated) == (len(answers), 0)


def only(errors: Sequence[Any]) -> str:
    """The one line that all the errors say."""
    assert all(isinstance(error, ModelError) for error in errors), errors
    (line,) = {str(error) for error in errors}
    assert "\n" not in line
    return line


# Too many calls


@pytest.mark.parametrize("headers", [{"retry-after": "0"}, {"retry-after-ms": "30"}, {}], ids=str)
def test_calls_that_were_too_many_are_all_answered_in_the_end_and_none_twice(
    server: Server, headers: dict[str, str]
) -> None:
    fault = server.fault("rate_limited", count=1, per="body", headers=headers)
    assert all_answered_once(ask(endpoint(server), 20), server)
    assert fault.hits == 20


@pytest.mark.parametrize("headers", [("retry-after",), ("retry-after-ms", "x-ratelimit"), ()], ids=str)
def test_a_ceiling_is_lived_with_whatever_it_says_of_itself(server: Server, headers: tuple[str, ...]) -> None:
    server.set(ceiling=Ceiling(100, burst=20, headers=headers))
    assert all_answered_once(ask(endpoint(server, concurrency=32), 50), server)


def test_a_refused_call_waits_for_as_long_as_it_is_told(server: Server) -> None:
    server.fault("rate_limited", count=1, headers={"retry-after-ms": "400"})
    began = time.monotonic()
    assert all_answered_once(ask(endpoint(server), 1), server)
    assert 0.4 <= time.monotonic() - began < 2


def test_nothing_is_sent_while_no_request_is_left(server: Server) -> None:
    server.set(ceiling=Ceiling(2, burst=1, headers=("x-ratelimit",)))  # every answer says: none left for 500 ms
    assert all_answered_once(ask(endpoint(server, concurrency=1), 4), server)
    assert server.counts().by_status == {"200": 4}
    starts = sorted(entry.started for entry in server.log)
    assert all(later - earlier > 0.45 for earlier, later in pairwise(starts))


# An endpoint that cannot cope


def test_an_overloaded_endpoint_is_asked_less_at_once_and_more_again_later(server: Server) -> None:
    asked = endpoint(server, concurrency=16)
    server.set(latency=0.01)
    server.fault("overloaded", count=4)
    seen: list[float] = []

    async def one(n: int) -> Any:
        answer = await asked.post(CHAT, body(n))
        seen.append(asked.throttle.concurrency)
        return answer

    async def together() -> list[Any]:
        return await asyncio.gather(*map(one, range(180)))

    assert all_answered_once(asyncio.run(together()), server)
    assert 8 <= min(seen) < 10
    assert seen[-1] == 16


def test_time_outs_are_tried_again_with_fewer_at_once(server: Server) -> None:
    asked = endpoint(server, timeout=0.3)
    server.fault("hang", count=2)
    answers = ask(asked, 6)
    assert all_answered_once(answers, server)
    assert server.counts().by_fault == {"hang": 2}
    assert asked.throttle.concurrency < 8


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "cut", "after": 0.5},
        {"kind": "cut", "after": 0.0},
        {"kind": "server_error"},
        {"kind": "malformed"},
        {"kind": "status", "status": 502, "body": "<html>Bad gateway</html>"},
    ],
    ids=["cut in mid-body", "closed without a byte", "500", "malformed", "a gateway's page"],
)
def test_what_a_repetition_mends_is_repeated(server: Server, fault: dict[str, Any]) -> None:
    happened = server.fault(**fault, count=1, per="body")
    answers = ask(endpoint(server), 6)
    assert [isinstance(answer, dict) for answer in answers] == [True] * 6
    assert happened.hits == 6
    assert len({answer["id"][:21] for answer in answers}) == 6


def test_a_storm_of_all_faults_loses_no_call(server: Server) -> None:
    for seed, kind in enumerate(("rate_limited", "overloaded", "server_error", "cut", "malformed")):
        server.fault(kind, fraction=0.15, seed=seed)
    answers = ask(endpoint(server, concurrency=16), 60)
    assert len({answer["id"][:21] for answer in answers}) == 60


# The end of patience


def test_an_endpoint_that_stays_away_is_one_line_with_its_address_and_the_way_out() -> None:
    with serve() as gone:
        asked = endpoint(gone, deadline=0.3)
    line = only(ask(asked, 5))
    assert line.startswith(f"{gone.url} cannot be reached (")
    assert "check that it runs and that the profile's base_url is right, then run the same command again" in line


def test_calls_one_after_the_other_do_not_each_wait_for_an_endpoint_that_is_gone() -> None:
    with serve() as gone:
        asked = endpoint(gone, concurrency=1, deadline=0.5)
    began = time.monotonic()
    only(ask(asked, 20))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(("kind", "said"), [("server_error", "answers 500 (The server had an error"), ("hang", "time")])
def test_an_endpoint_that_stays_broken_is_given_up_at_the_deadline(server: Server, kind: str, said: str) -> None:
    server.fault(kind)
    line = only(ask(endpoint(server, timeout=0.1, deadline=0.4), 1))
    assert line.startswith(server.url)
    assert said in line
    assert "times in a row" in line


def test_a_wait_beyond_the_deadline_is_not_begun(server: Server) -> None:
    server.fault("rate_limited", headers={"retry-after": "3600"})
    began = time.monotonic()
    assert "Rate limit reached" in only(ask(endpoint(server), 1))
    assert time.monotonic() - began < 2


def test_one_call_that_is_given_up_does_not_end_the_others(server: Server) -> None:
    server.set(latency=0.02)
    server.fault("server_error", contains="number 003")
    answers = ask(endpoint(server, concurrency=2, deadline=0.3), 40)
    errors = [answer for answer in answers if not isinstance(answer, dict)]
    assert len(errors) == 1
    assert server.counts().calls == 39


# What no repetition mends

FATAL = [
    ("invalid_key", "does not accept the key: Incorrect API key provided"),
    ("unknown_model", "The model `tiny-1` does not exist.; check 'model' and 'base_url' in the profile"),
    ("insufficient_quota", "You exceeded your current quota.; what is finished is kept"),
]


@pytest.mark.parametrize(("kind", "said"), FATAL)
def test_a_wrong_key_or_model_or_a_spent_quota_stops_everything_at_once(server: Server, kind: str, said: str) -> None:
    server.fault(kind)
    asked = endpoint(server, concurrency=2)
    line = only(ask(asked, 30))
    assert line.startswith(server.url)
    assert said in line
    assert server.counts().requests <= 2
    assert only(ask(asked, 1, first=90)) == line
    assert server.counts().requests <= 2


def test_calls_under_way_when_the_quota_ends_are_still_answered(server: Server) -> None:
    server.set(latency=0.2)
    server.fault("insufficient_quota", contains="number 002")
    answers = ask(endpoint(server, concurrency=4), 12)
    assert [isinstance(answer, dict) for answer in answers] == [n in (0, 1, 3) for n in range(12)]
    assert server.counts().requests == 4


@pytest.mark.parametrize("kind", ["context_length", "prompt_filter"])
def test_a_request_that_is_not_taken_ends_alone(server: Server, kind: str) -> None:
    server.fault(kind, contains="number 001")
    answers = ask(endpoint(server), 3)
    assert [type(answer) for answer in answers] == [dict, Rejected, dict]
    assert len(server.log) == 3


# The key


@pytest.mark.parametrize(
    "kind", ["invalid_key", "unknown_model", "insufficient_quota", "context_length", "server_error", "rate_limited"]
)
def test_a_key_that_the_endpoint_quotes_is_in_no_line_and_no_traceback(server: Server, kind: str) -> None:
    server.fault(kind, message=ECHO)
    (error,) = ask(endpoint(server, deadline=0.1), 1)
    assert isinstance(error, MirsbError | Rejected)
    told = "".join(traceback.format_exception(error))
    assert "Who sent *** must be mistaken." in told
    assert KEY not in told
    assert KEY not in repr(error)


def test_words_are_left_alone_where_no_key_is_used(server: Server) -> None:
    asked = endpoint(server, key=NO_KEY)
    assert asked.quoted("none of  the\nmodels") == "none of the models"
