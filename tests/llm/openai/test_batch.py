"""Batches: everything that waits goes in one, what it leaves is sent again alone, and nothing is ever submitted twice,
whoever is killed when."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import openai
import pytest

from mirsb_build.config.profiles import ModelChoice, Prices
from mirsb_build.errors import Damaged, MirsbError, ModelError
from mirsb_build.llm import open_models
from mirsb_build.llm.budget import cost_of
from mirsb_build.llm.openai import batch as batch_module
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.llm.openai.batch import BatchModel
from mirsb_build.llm.openai.batch_api import Pace
from mirsb_build.llm.openai.batch_records import BatchRecord, intended
from mirsb_build.llm.openai.chat import OpenAIModel
from mirsb_build.llm.openai.endpoint import Endpoint
from mirsb_build.records import Message, Reply, Request
from mirsb_build.store import Store
from tests.openai_server import BatchPlan, Server, serve

QUICK = Pace(linger=0.05, first_look=0.01, longest_look=0.05, patience=5.0)
AT_ONCE = {"retry-after-ms": "5"}
SLOW = BatchPlan(seconds=0.4)
"""More than a second from start to end."""
SCHEMA = {
    "type": "object",
    "properties": {"thing": {"type": "string"}},
    "required": ["thing"],
    "additionalProperties": False,
}
CHOICE = ModelChoice(backend="openai", model="tiny-1", mode="batch", prices=Prices(prompt=1.0, completion=2.0))


def request(n: int) -> Request:
    return Request(
        role="revisor",
        model="openai/tiny-1",
        prompt="tests",
        prompt_hash="0" * 64,
        messages=(Message(role="user", content=f"Name thing number {n:03d} on a kitchen table."),),
        reply_schema=SCHEMA,
        variables={},
    )


def requests(count: int) -> list[Request]:
    return [request(n) for n in range(count)]


def batch_model(url: str, key: str, store: Store, pace: Pace = QUICK) -> BatchModel:
    """Everything made anew, as a process finds it that has just started."""
    endpoint = Endpoint(url, key, concurrency=16, timeout=5.0, deadline=3.0)
    return BatchModel(OpenAIModel(CHOICE, endpoint, store), endpoint, store, pace)


def ask(model: BatchModel, asked: Sequence[Request]) -> list[Reply]:
    """Ask all at once, in an event loop of their own."""

    async def together() -> list[Reply]:
        return await asyncio.gather(*map(model.complete, asked))

    return asyncio.run(together())


def work(url: str, folder: str, count: int) -> None:
    """What the process does that is killed."""
    ask(batch_model(url, os.environ["TESTS_KEY"], Store(folder)), requests(count))


class Asking:
    """A server, a store, and one process after the other that asks."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.store = server, folder, Store(str(folder))

    def model(self) -> BatchModel:
        return batch_model(self.server.url, self.server.key, self.store)

    def ask(self, count: int) -> list[Reply]:
        return ask(self.model(), requests(count))

    def until(self, seen: Callable[[], object], count: int) -> None:
        """Ask, and drop the process with its event loop, as Ctrl-C does, once something was seen."""

        async def part() -> None:
            asking = asyncio.gather(*map(self.model().complete, requests(count)))
            await wait_for(seen)
            asking.cancel()

        asyncio.run(part())

    def records(self) -> list[BatchRecord]:
        files = sorted((self.folder / "cache" / "batches").glob("*.json"))
        return [BatchRecord.model_validate_json(file.read_bytes()) for file in files]

    def record(self) -> BatchRecord:
        (record,) = self.records()
        return record

    def keep(self, record: BatchRecord, **changes: Any) -> None:
        """Put a record back to what it was at an earlier moment."""
        changed = BatchRecord.model_validate(record.model_dump() | changes)
        (self.folder / changed.file).write_text(changed.model_dump_json())

    def statuses(self) -> list[str]:
        return [batch.status for batch in self.server.batches.values()]

    def alone(self) -> list[str]:
        """The live calls by the thing that they ask for; the one that found out how to ask for JSON is no such call."""
        digests = [e.digest for e in self.server.log if e.path.endswith("/completions") and not e.batch]
        return digests[1:]

    def live_and_batched(self) -> set[str]:
        """Bodies that were answered both in a batch and alone."""
        done = {e.digest for e in self.server.log if e.batch and e.status == 200}
        return done & set(self.alone())


async def wait_for(seen: Callable[[], object], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while not seen():
        assert time.monotonic() < until, "it did not happen"
        await asyncio.sleep(0.01)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(batch=BatchPlan(seconds=0.02, shuffle=7)) as server:
        yield server


@pytest.fixture
def asking(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Asking:
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.02)
    return Asking(server, folder)


def things(replies: Sequence[Reply]) -> list[str]:
    return [json.loads(reply.text)["thing"] for reply in replies]


# One batch


def test_everything_that_waits_is_answered_by_one_batch(asking: Asking) -> None:
    replies = asking.ask(12)
    assert all(reply.batch and reply.kind == "usable" for reply in replies)
    assert all(reply.usage.completion_tokens and reply.response_id for reply in replies)
    counts = asking.server.counts()
    assert (counts.batches_submitted, counts.lines_executed, counts.repeated) == (1, 12, 0)
    assert asking.alone() == []
    record = asking.record()
    assert (record.status, record.submitted, record.answered, record.resent) == ("completed", 12, 12, 0)


def test_each_request_gets_its_own_answer_whatever_the_order_of_the_lines(asking: Asking) -> None:
    asking.server.script = lambda asked: {"thing": asked.text[18:21]}
    assert things(asking.ask(12)) == [f"{n:03d}" for n in range(12)]


def test_a_batch_says_whose_it_is_and_holds_the_live_call_line_by_line(asking: Asking) -> None:
    asking.ask(3)
    (batch,) = asking.server.batches.values()
    record = asking.record()
    assert batch.described["id"] == record.batch_id
    assert batch.described["metadata"] == record.metadata
    assert record.metadata["made_by"] == "mirsb-build"
    lines = [json.loads(line) for line in asking.server.files[record.input_file_id].data.splitlines()]
    assert [line["custom_id"] for line in lines] == [asked.key for asked in requests(3)] == list(record.requests)
    live = OpenAIModel(CHOICE, Endpoint(None, "x", concurrency=1, timeout=1, deadline=1), asking.store)
    assert [line["body"] for line in lines] == [live.body(asked, "json_schema") for asked in requests(3)]


def test_requests_that_come_later_go_into_the_next_batch(asking: Asking) -> None:
    model = asking.model()

    async def twice() -> None:
        early = asyncio.create_task(model.complete(request(0)))
        await wait_for(lambda: asking.server.batches)
        await asyncio.gather(early, model.complete(request(1)), model.complete(request(2)))

    asyncio.run(twice())
    assert sorted(record.submitted for record in asking.records()) == [1, 2]


def test_a_full_file_is_followed_by_another(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_LINES", 5)
    assert len(asking.ask(12)) == 12
    assert sorted(record.submitted for record in asking.records()) == [2, 5, 5]


def test_a_file_is_full_by_its_bytes_too(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_BYTES", 1500)
    assert len(asking.ask(6)) == 6
    assert all(len(file.data) <= 1500 for file in asking.server.files.values() if file.purpose == "batch")
    assert len(asking.records()) > 1


def test_requests_that_never_pause_are_submitted_all_the_same(asking: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "MOST_LINGERS", 3)
    model = asking.model()

    async def steadily() -> None:
        tasks: list[asyncio.Task[Reply]] = []
        for asked in requests(15):
            tasks.append(asyncio.create_task(model.complete(asked)))
            await asyncio.sleep(0.03)
        await asyncio.gather(*tasks)

    asyncio.run(steadily())
    assert len(asking.records()) > 1
    assert asking.server.counts().repeated == 0


def test_a_profile_chooses_batches_by_role_and_pays_their_price(asking: Asking) -> None:
    os.environ["TESTS_KEY"] = asking.server.key
    choice = CHOICE.model_copy(update={"base_url": asking.server.url, "key_variable": "TESTS_KEY"})
    live = choice.model_copy(update={"mode": "live"})
    found = open_models({"revisor": choice, "seed_writer": live}, asking.store)
    assert isinstance(found["revisor"], BatchModel)
    assert isinstance(found["seed_writer"], OpenAIModel)
    (reply,) = asking.ask(1)
    assert reply.batch
    assert cost_of(reply.usage, CHOICE.prices, batch=True) == cost_of(reply.usage, CHOICE.prices) / 2


# What a batch leaves


def test_lines_that_fail_are_sent_again_alone_once_each(asking: Asking) -> None:
    asking.server.fault("server_error", where="batch", when=lambda asked: asked.text[18:21] in ("003", "007"))
    replies = asking.ask(10)
    assert [n for n, reply in enumerate(replies) if not reply.batch] == [3, 7]
    assert all(reply.kind == "usable" for reply in replies)
    assert len(asking.alone()) == len(set(asking.alone())) == 2
    assert not asking.live_and_batched()
    record = asking.record()
    assert (record.submitted, record.answered, record.resent) == (10, 8, 2)


def test_a_request_that_the_endpoint_will_not_take_is_said_to_be_so(asking: Asking) -> None:
    asking.server.fault("prompt_filter", where="both", contains="number 002")
    replies = asking.ask(4)
    assert [reply.kind for reply in replies] == ["usable", "usable", "rejected", "usable"]
    assert len(asking.alone()) == 1


def test_bad_replies_in_a_batch_are_replies_and_not_failures(asking: Asking) -> None:
    for kind, place in (("truncated", "001"), ("refusal", "002"), ("content_filter", "003"), ("empty", "004")):
        asking.server.fault(kind, where="batch", contains=f"number {place}")
    replies = asking.ask(6)
    assert [reply.kind for reply in replies] == ["usable", "truncated", "refused", "filtered", "empty", "usable"]
    assert all(reply.batch for reply in replies)
    assert asking.alone() == []


@pytest.mark.parametrize(("outcome", "answered"), [("expired", 5), ("failed", 0), ("cancelled", 5)])
def test_a_batch_that_ends_early_keeps_what_is_done_and_the_rest_is_sent_alone(
    asking: Asking, outcome: str, answered: int
) -> None:
    ends: Any = "waits" if outcome == "cancelled" else outcome
    asking.server.set(batch=BatchPlan(seconds=0.02, outcome=ends, done=0.5))

    async def cancelled_there() -> None:
        if outcome == "cancelled":
            await wait_for(lambda: asking.server.lines_executed == answered)
            (id_,) = asking.server.batches
            await openai.AsyncOpenAI(base_url=asking.server.url, api_key=asking.server.key).batches.cancel(id_)

    async def both() -> list[Reply]:
        asked = asyncio.gather(*map(asking.model().complete, requests(10)))
        await cancelled_there()
        return await asked

    replies = asyncio.run(both())
    assert sum(reply.batch for reply in replies) == answered
    assert all(reply.kind == "usable" for reply in replies)
    assert len(asking.alone()) == len(set(asking.alone())) == 10 - answered
    assert not asking.live_and_batched()
    record = asking.record()
    assert (record.status, record.submitted) == (outcome, 10)
    assert (record.answered, record.resent) == (answered, 10 - answered)


def test_why_lines_were_left_is_told_without_their_text(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    asking.server.fault("server_error", where="batch", contains="number 003")
    with caplog.at_level("INFO", logger="mirsb"):
        asking.ask(4)
    told = "\n".join(caplog.messages)
    assert "4 requests submitted" in told
    assert "completed; 3 of 4 answered, 1 to be sent again alone (1 500)" in told
    assert "kitchen" not in told
    assert asking.server.key not in told


def test_a_refused_batch_says_why(asking: Asking, caplog: pytest.LogCaptureFixture) -> None:
    asking.server.set(batch=BatchPlan(seconds=0.02, outcome="failed"))
    with caplog.at_level("INFO", logger="mirsb"):
        asking.ask(2)
    assert "2 to be sent again alone (The batch was refused: token_limit_exceeded.)" in caplog.text


def test_an_output_file_that_came_damaged_is_read_again(asking: Asking) -> None:
    asking.server.fault("malformed", route="/content", count=1)
    assert all(reply.batch for reply in asking.ask(5))
    assert asking.alone() == []


def test_lines_that_stay_unreadable_count_as_missing(asking: Asking) -> None:
    asking.server.fault("malformed", route="/content", body='not JSON\n{"custom_id": 5}\n[]\n')
    replies = asking.ask(3)
    assert [reply.kind for reply in replies] == ["usable"] * 3
    assert len(asking.alone()) == 3
    assert (asking.record().answered, asking.record().resent) == (0, 3)


@pytest.mark.parametrize(
    "changes", [{"answered": 1}, {"status": "completed"}, {"status": "expired", "answered": 2, "resent": 2}]
)
def test_a_record_whose_counts_do_not_add_up_cannot_be(changes: dict[str, Any]) -> None:
    good = intended("http://127.0.0.1/v1", ["a", "b", "c"], "file-1")
    with pytest.raises(ValueError, match="do not add up"):
        BatchRecord.model_validate(good.model_dump() | changes)


# Killed and started again


def test_a_restart_finds_the_running_batch_by_its_id(asking: Asking) -> None:
    asking.server.set(batch=SLOW)
    asking.until(lambda: asking.records() and asking.record().status == "submitted", 8)
    assert asking.statuses() != ["completed"]
    replies = asking.ask(8)
    assert all(reply.batch for reply in replies)
    counts = asking.server.counts()
    assert (counts.batches_submitted, counts.lines_executed, counts.repeated) == (1, 8, 0)
    assert asking.record().status == "completed"


def test_after_a_restart_only_requests_that_are_in_no_batch_go_into_a_new_one(asking: Asking) -> None:
    asking.server.set(batch=SLOW)
    asking.until(lambda: asking.records() and asking.record().status == "submitted", 4)
    assert all(reply.batch for reply in asking.ask(6))
    assert sorted(record.submitted for record in asking.records()) == [2, 4]
    assert asking.server.counts().repeated == 0


@pytest.mark.parametrize("moment", ["submission", "work"])
def test_a_killed_process_is_paid_for_once(asking: Asking, moment: str) -> None:
    asking.server.set(batch=SLOW)
    fault = asking.server.fault("slow", route="POST /v1/batches" if moment == "submission" else "nowhere", seconds=1.0)
    script = f"from tests.llm.openai.test_batch import work; work({asking.server.url!r}, {str(asking.folder)!r}, 6)"
    here = Path(__file__).parents[2]
    env = os.environ | {"TESTS_KEY": asking.server.key, "PYTHONPATH": str(here)}
    with subprocess.Popen([sys.executable, "-c", script], env=env, cwd=here) as process:
        at_work = moment == "work"
        asyncio.run(wait_for(lambda: asking.records() and asking.record().batch_id if at_work else fault.hits, 30))
        process.kill()
    asyncio.run(wait_for(lambda: asking.server.batches))  # also the one that nobody wrote down the id of
    asking.server.clear_faults()
    assert asking.record().status == ("submitted" if at_work else "intended")
    assert all(reply.batch for reply in asking.ask(6))
    counts = asking.server.counts()
    assert (counts.batches_submitted, counts.lines_executed, counts.repeated) == (1, 6, 0)
    assert asking.record().answered == 6


def test_a_batch_whose_id_was_not_written_down_is_found_by_its_metadata(asking: Asking) -> None:
    asking.server.set(batch=SLOW)
    asking.until(lambda: asking.records() and asking.record().status == "submitted", 5)
    record = asking.record()
    asking.keep(record, status="intended", batch_id=None)
    other = openai.OpenAI(base_url=asking.server.url, api_key=asking.server.key).batches
    for n in range(130):  # more than one page of other people's, and one of ours with the same requests
        metadata = {"made_by": "somebody"} if n else record.metadata | {"intent": "another"}
        other.create(
            input_file_id=record.input_file_id,
            endpoint="/v1/chat/completions",
            completion_window="24h",
            metadata=metadata,
        )
    assert all(reply.batch for reply in asking.ask(5))
    assert len(asking.statuses()) == 131
    assert asking.record().batch_id == record.batch_id


def test_a_batch_that_was_only_intended_is_submitted_now(asking: Asking) -> None:
    (asking.folder / "cache" / "batches").mkdir(parents=True)
    asking.keep(intended(asking.server.url, [asked.key for asked in requests(7)], "file-1"))
    assert all(reply.batch for reply in asking.ask(4))
    assert asking.statuses() == ["completed"]
    assert asking.record().submitted == 4


def test_an_answer_that_got_lost_does_not_submit_a_batch_again(asking: Asking) -> None:
    asking.server.fault("cut", route="POST /v1/batches", count=1)
    assert all(reply.batch for reply in asking.ask(5))
    assert len(asking.server.batches) == 1


def test_answers_that_were_not_kept_are_read_from_the_finished_batch_again(asking: Asking) -> None:
    asking.server.fault("server_error", where="batch", contains="number 002")
    before = asking.ask(5)
    after = asking.ask(5)
    assert [reply.text for reply in before] == [reply.text for reply in after]
    assert len(asking.server.batches) == 1
    assert (asking.record().answered, asking.record().resent) == (4, 1)


def test_a_finished_batch_that_the_endpoint_forgot_is_asked_anew(asking: Asking) -> None:
    asking.ask(5)
    asking.server.files.clear()
    assert all(reply.batch for reply in asking.ask(5))
    assert len(asking.server.batches) == 2
    assert asking.record().answered == 5


def test_a_running_batch_that_the_endpoint_does_not_know_is_not_paid_for_twice(asking: Asking) -> None:
    asking.server.set(batch=SLOW)
    asking.until(lambda: asking.records() and asking.record().status == "submitted", 5)
    asking.server.batches.clear()
    with pytest.raises(ModelError, match="was it submitted with another key") as caught:
        asking.ask(5)
    assert asking.record().file in str(caught.value)
    assert asking.server.batches == {}


def test_interrupting_cancels_nothing_at_the_endpoint(asking: Asking) -> None:
    asking.server.set(batch=SLOW)
    asking.until(lambda: asking.records() and asking.record().status == "submitted", 5)
    assert asking.statuses() != ["completed"]
    asyncio.run(wait_for(lambda: asking.statuses() == ["completed"]))
    assert not [entry for entry in asking.server.log if entry.path.endswith("/cancel")]


def test_one_who_stops_waiting_does_not_stop_the_others(asking: Asking) -> None:
    model = asking.model()

    async def part() -> list[Reply]:
        tasks = [asyncio.create_task(model.complete(asked)) for asked in requests(4)]
        await wait_for(lambda: asking.server.batches)
        tasks[0].cancel()
        return await asyncio.gather(*tasks[1:])

    assert all(reply.batch for reply in asyncio.run(part()))


def test_another_endpoints_batches_are_left_alone(asking: Asking) -> None:
    (asking.folder / "cache" / "batches").mkdir(parents=True)
    foreign = intended("https://elsewhere.example/v1", [asked.key for asked in requests(3)], "file-1")
    asking.keep(foreign.found("batch_elsewhere"))
    assert all(reply.batch for reply in asking.ask(3))
    assert len(asking.records()) == 2


# What goes wrong at the endpoint


def test_a_batch_is_waited_for_while_the_endpoint_is_out_of_reach(asking: Asking) -> None:
    asking.server.fault("overloaded", route="GET /v1/batches", count=3, headers=AT_ONCE)
    asking.server.fault("server_error", route="/content", count=2, headers=AT_ONCE)
    asking.server.fault("malformed", route="GET /v1/batches", count=1)
    asking.server.fault("rate_limited", route="POST /v1/files", count=1, headers=AT_ONCE)
    assert all(reply.batch for reply in asking.ask(5))
    assert asking.server.counts().repeated == 0


def test_pages_of_a_gateway_are_no_batches(asking: Asking) -> None:
    asking.server.fault("malformed", route="GET /v1/batches", count=1, body="<html>busy</html>")
    asking.server.fault("malformed", route="POST /v1/files", count=1, body='{"hello": "there"}')
    asking.server.fault("malformed", route="POST /v1/batches", count=1, body="[]")
    assert all(reply.batch for reply in asking.ask(3))
    assert len(asking.server.batches) == 1


@pytest.mark.parametrize("body", ["<html>busy</html>", "[]", '{"data": 5}', '{"hello": 1}', '{"data": [{"id": 1}]}'])
def test_a_list_of_batches_that_is_none_is_asked_for_again(asking: Asking, body: str) -> None:
    asking.server.fault("cut", route="POST /v1/batches", count=1)
    asking.server.fault("malformed", route="GET /v1/batches", count=1, body=body)
    assert all(reply.batch for reply in asking.ask(3))
    assert len(asking.server.batches) == 1


@pytest.mark.parametrize(
    ("route", "kind", "said"),
    [
        ("/v1/chat", "invalid_key", "does not accept the key"),
        ("POST /v1/files", "invalid_key", "does not accept the key"),
        ("POST /v1/batches", "insufficient_quota", "You exceeded your current quota."),
        ("GET /v1/batches", "invalid_key", "does not accept the key"),
        ("POST /v1/batches", "context_length", "takes no batch"),
        ("/content", "invalid_key", "does not accept the key"),
    ],
)
def test_what_no_repetition_mends_is_one_clear_line(asking: Asking, route: str, kind: str, said: str) -> None:
    asking.server.fault(kind, route=route, message="You exceeded your current quota. {key}")
    with pytest.raises(ModelError) as caught:
        asking.ask(3)
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert asking.server.key not in message


def test_an_endpoint_without_batches_is_said_to_have_none(asking: Asking) -> None:
    asking.server.fault("status", route="/v1/files", status=404, message="Not Found")
    with pytest.raises(ModelError, match=r"has no batches.*take 'mode: batch' out of the profile"):
        asking.ask(2)


def test_after_a_fatal_error_the_same_command_goes_on(asking: Asking) -> None:
    asking.server.fault("insufficient_quota", route="GET /v1/batches")
    with pytest.raises(MirsbError):
        asking.ask(4)
    asking.server.clear_faults()
    assert all(reply.batch for reply in asking.ask(4))
    assert asking.server.counts().repeated == 0


def test_a_batch_that_never_ends_is_given_up_with_the_next_step(asking: Asking) -> None:
    asking.server.set(batch=BatchPlan(seconds=0.02, outcome="waits"))

    async def overdue() -> None:
        asked = asyncio.gather(*map(asking.model().complete, requests(2)))
        await wait_for(lambda: asking.server.batches)
        for batch in asking.server.batches.values():
            batch.described["expires_at"] = int(time.time()) - 7200
        await asked

    with pytest.raises(ModelError, match=r"is still .* long after its time; cancel it there"):
        asyncio.run(overdue())


def test_a_damaged_record_is_named_and_nothing_is_paid_for(asking: Asking) -> None:
    asking.ask(3)
    (file,) = (asking.folder / "cache" / "batches").glob("*.json")
    file.write_bytes(file.read_bytes()[:80])
    with pytest.raises(Damaged, match=rf"{file.name} in store .* is damaged"):
        asking.ask(3)
    assert len(asking.server.batches) == 1


def test_the_key_is_in_no_byte_of_the_store(asking: Asking) -> None:
    asking.server.fault("server_error", where="batch", contains="number 003", message="Who is {key}?")
    asking.ask(5)
    files = [file for file in asking.folder.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if asking.server.key.encode() in file.read_bytes()]
