"""The loopback API answers the real `openai` client as OpenAI and its kin do, faults included."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import math
import time
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Batch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tests.openai_server import Asked, BatchPlan, Ceiling, Reply, Server, body_hash, instance, serve, spawn

Json = dict[str, Any]


class Cup(BaseModel):
    """A bit of everything that a schema can ask for."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=10, max_length=14)
    kind: Literal["tea", "water"]
    size: int = Field(ge=3, le=4)
    share: float = Field(gt=0, lt=1)
    marks: list[str] = Field(min_length=2, max_length=3)
    beside: Cup | None


WANTED: Json = {
    "type": "json_schema",
    "json_schema": {"name": "cup", "strict": True, "schema": Cup.model_json_schema()},
}
HELLO: Json = {"model": "small", "messages": [{"role": "user", "content": "Describe a cup as JSON."}]}


@pytest.fixture
def server() -> Generator[Server]:
    with serve() as server:
        yield server


def run(server: Server, story: Callable[[AsyncOpenAI], Awaitable[Any]]) -> Any:
    """Run a story with a client of its own."""

    async def work() -> Any:
        plain = openai.DefaultAsyncHttpxClient(verify=False)  # reading certificates takes longer than most stories
        async with AsyncOpenAI(
            base_url=server.url, api_key=server.key, max_retries=0, timeout=5, http_client=plain
        ) as client:
            return await story(client)

    return asyncio.run(work())


def ask(server: Server, **changes: Any) -> Any:
    """One chat completion."""
    return run(server, lambda client: client.chat.completions.create(**(HELLO | changes)))


def text(server: Server, **changes: Any) -> str:
    """What one chat completion says."""
    return ask(server, **({"response_format": WANTED} | changes)).choices[0].message.content


def ask_many(server: Server, count: int, **changes: Any) -> list[Any]:
    """Different chat completions at once: replies and errors."""

    async def story(client: AsyncOpenAI) -> list[Any]:
        asking = [client.chat.completions.create(**(HELLO | changes), seed=n) for n in range(count)]
        return await asyncio.gather(*asking, return_exceptions=True)

    return run(server, story)


def test_a_reply_is_an_instance_of_the_schema_and_the_same_for_the_same_request(server: Server) -> None:
    first = text(server)
    assert Cup.model_validate_json(first)
    assert text(server) == first
    assert text(server, seed=1) != first
    assert server.calls(body_hash(HELLO | {"response_format": WANTED})) == 2
    assert (server.counts().calls, server.counts().distinct, server.counts().repeated) == (3, 2, 1)


def test_instances_keep_to_bounds_whatever_the_seed() -> None:
    for seed in range(200):
        Cup.model_validate(instance(Cup.model_json_schema(), str(seed)))
    bounds = {"type": "integer", "exclusiveMinimum": 3, "maximum": 10, "multipleOf": 5}
    assert {instance(bounds, str(seed)) for seed in range(20)} == {5, 10}
    assert instance({"type": "integer", "maximum": -5}, "") <= -5
    assert sorted(instance({"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "uniqueItems": True}, "")) == [
        1,
        2,
    ]
    pair = {"type": "array", "prefixItems": [{"const": 1}, {"type": "boolean"}], "minItems": 2, "maxItems": 2}
    assert len(instance(pair, "")) == 2
    assert len(instance({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}, "")) == 2


def test_both_dialects_of_json_mode_and_plain_text_are_answered(server: Server) -> None:
    assert json.loads(text(server, response_format={"type": "json_object"}))["answer"]
    dialect = {"type": "json_object", "schema": Cup.model_json_schema()}
    assert Cup.model_validate_json(text(server, response_format=dialect))
    assert text(server, response_format=openai.omit).endswith(".")
    written = [{"role": "user", "content": f"Answer in this schema: {json.dumps(Cup.model_json_schema())}"}]
    assert Cup.model_validate_json(text(server, messages=written, response_format=openai.omit))


def test_what_openai_refuses_is_refused_unless_the_server_is_lenient(server: Server) -> None:
    loose = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "loose", "strict": True, "schema": loose}}
    with pytest.raises(openai.BadRequestError, match="additionalProperties"):
        ask(server, response_format=wanted)
    silent = [{"role": "user", "content": "Describe a cup."}]
    with pytest.raises(openai.BadRequestError, match="the word 'json'"):
        ask(server, messages=silent, response_format={"type": "json_object"})
    server.set(strict=False)
    assert ask(server, response_format=wanted)
    assert ask(server, messages=silent, response_format={"type": "json_object"})


def test_a_script_decides_on_text_usage_refusal_and_reasoning(server: Server) -> None:
    def script(asked: Asked) -> str | Reply | Json | None:
        answers = {1: "tea", 2: {"cup": 1}, 3: Reply("water", None, "first the cup", "stop", 10, 7, 4, 3)}
        return answers.get(asked.body["seed"])

    server.script = script
    assert text(server, seed=1) == "tea"
    assert json.loads(text(server, seed=2)) == {"cup": 1}
    assert Cup.model_validate_json(text(server, seed=4))
    completion = ask(server, seed=3)
    assert completion.choices[0].message.reasoning_content == "first the cup"
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 7, 17)
    assert usage.prompt_tokens_details.cached_tokens == 4
    assert usage.completion_tokens_details.reasoning_tokens == 3
    assert (completion.model, completion.system_fingerprint) == ("small-2026-01-01", "fp_loopback")


def test_a_script_that_fails_is_heard_of_at_the_end() -> None:
    with pytest.raises(ZeroDivisionError), serve() as server:
        server.script = lambda _: str(1 / 0)
        with pytest.raises(openai.InternalServerError, match="ZeroDivisionError"):
            ask(server)


def test_a_token_limit_truncates_what_is_longer(server: Server) -> None:
    whole = text(server)
    short = ask(server, response_format=WANTED, max_completion_tokens=5)
    assert short.choices[0].finish_reason == "length"
    assert len(short.choices[0].message.content) == 20
    assert short.usage.completion_tokens == 5
    assert ask(server, response_format=WANTED, max_tokens=len(whole)).choices[0].finish_reason == "stop"


def test_pictures_in_messages_are_counted(server: Server) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    parts = [{"type": "text", "text": "What is this?"}, picture, picture]
    completion = ask(server, messages=[{"role": "user", "content": parts}])
    assert server.counts().images == server.log[0].images == 2
    assert completion.usage.prompt_tokens == 4 + 2 * 85
    broken = {"type": "image_url", "image_url": {"url": "data:image/png,abc"}}
    with pytest.raises(openai.BadRequestError, match="image_url"):
        ask(server, messages=[{"role": "user", "content": [broken]}])


def test_models_pictures_and_embeddings(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        assert [model.id async for model in client.models.list()] == ["any-model"]
        made = await client.images.generate(prompt="a table", model="brush", n=2)
        assert made.data is not None and len(made.data) == 2
        assert Image.open(io.BytesIO(base64.b64decode(made.data[0].b64_json or ""))).size == (16, 16)
        embedded = await client.embeddings.create(input=["tea", "tea", "bread"], model="vectors", dimensions=5)
        first, same, other = (item.embedding for item in embedded.data)
        assert first == same != other
        assert math.hypot(*first) == pytest.approx(1) and len(first) == 5
        plain = await client.embeddings.create(input="tea", model="vectors", dimensions=5, encoding_format="float")
        assert plain.data[0].embedding == pytest.approx(first, abs=1e-6)

    run(server, story)
    assert server.counts().calls == 3


ERRORS = [
    ("rate_limited", openai.RateLimitError, "rate_limit_exceeded"),
    ("insufficient_quota", openai.RateLimitError, "insufficient_quota"),
    ("invalid_key", openai.AuthenticationError, "invalid_api_key"),
    ("unknown_model", openai.NotFoundError, "model_not_found"),
    ("context_length", openai.BadRequestError, "context_length_exceeded"),
    ("prompt_filter", openai.BadRequestError, "content_filter"),
    ("server_error", openai.InternalServerError, None),
    ("overloaded", openai.InternalServerError, None),
]


@pytest.mark.parametrize(("kind", "error", "code"), ERRORS, ids=[row[0] for row in ERRORS])
def test_an_error_comes_once_in_the_words_of_openai(
    server: Server, kind: str, error: type[openai.APIStatusError], code: str | None
) -> None:
    fault = server.fault(kind, count=1, headers={"retry-after": "2"})
    with pytest.raises(error) as caught:
        ask(server)
    assert caught.value.code == code
    assert caught.value.response.headers["retry-after"] == "2"
    assert ask(server)
    assert fault.hits == 1
    assert server.counts().by_fault == {kind: 1}
    assert server.counts().calls == 1


def test_a_wrong_key_and_an_unknown_model_are_refused(server: Server) -> None:
    server.set(models=["large"])
    with pytest.raises(openai.NotFoundError, match="small"):
        ask(server)
    assert ask(server, model="large")
    server.set(key="sk-another")
    key, server.behaviour.key = server.behaviour.key, "sk-changed"
    with pytest.raises(openai.AuthenticationError, match=r"sk-\*\*\*ed") as caught:
        run(server, lambda client: client.with_options(api_key="sk-misplaced").models.list())
    assert "misplaced" not in str(caught.value)
    server.behaviour.key = key


def test_any_status_can_be_answered_with_any_page_that_may_repeat_the_key(server: Server) -> None:
    server.fault("status", status=502, body="<html>Bad Gateway</html>", count=1)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(server)
    assert caught.value.response.text == "<html>Bad Gateway</html>"
    server.fault("status", status=422, message="unknown field, by {key}")
    with pytest.raises(openai.UnprocessableEntityError, match=server.key):
        ask(server)


def test_an_endpoint_may_lack_schemas_or_json_mode(server: Server) -> None:
    server.fault("no_json_schema")
    with pytest.raises(openai.BadRequestError, match="'json_schema' is not supported"):
        text(server)
    mode = {"type": "json_object"}
    assert text(server, response_format=mode)
    server.fault("no_json_object")
    with pytest.raises(openai.BadRequestError, match="'json_object' is not supported"):
        text(server, response_format=mode)
    assert text(server, response_format=openai.omit)


REPLIES: list[tuple[str, Callable[[Any, str], bool]]] = [
    ("empty", lambda choice, _: choice.message.content == ""),
    ("truncated", lambda choice, good: choice.finish_reason == "length" and choice.message.content in good[:-1]),
    ("content_filter", lambda choice, _: choice.finish_reason == "content_filter"),
    ("refusal", lambda choice, _: choice.message.content is None and "can't help" in choice.message.refusal),
    ("refusal_words", lambda choice, _: "can't help" in choice.message.content),
    ("fenced", lambda choice, good: choice.message.content == f"```json\n{good}\n```"),
    ("chatty", lambda choice, good: choice.message.content.split("\n\n")[1] == good),
    ("prose", lambda choice, _: "{" not in choice.message.content),
    ("reasoning", lambda choice, good: choice.message.reasoning_content and choice.message.content == good),
    ("thoughts", lambda choice, good: choice.message.content.startswith("<think>")),
]


@pytest.mark.parametrize(("kind", "as_told"), REPLIES, ids=[row[0] for row in REPLIES])
def test_a_reply_is_spoiled_as_told(server: Server, kind: str, as_told: Callable[[Any, str], bool]) -> None:
    good = text(server)
    server.fault(kind)
    assert as_told(ask(server, response_format=WANTED).choices[0], good)
    assert server.counts().calls == 2


def test_usage_can_be_missing(server: Server) -> None:
    server.fault("no_usage")
    assert ask(server).usage is None


def test_a_schema_is_violated_the_first_times_for_each_question_then_kept(server: Server) -> None:
    server.fault("violating", count=2, per="question")
    messages = list(HELLO["messages"])
    for _ in range(2):
        said = text(server, messages=messages)
        with pytest.raises(ValidationError, match="name"):
            Cup.model_validate_json(said)
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "The name is missing."}]
    assert Cup.model_validate_json(text(server, messages=messages))
    with pytest.raises(ValidationError):
        Cup.model_validate_json(text(server, messages=[{"role": "user", "content": "Another cup."}]))


def test_a_connection_is_cut_in_mid_body_or_before_a_byte_and_the_work_counts(server: Server) -> None:
    server.fault("cut", count=1)
    server.fault("cut", count=1, after=0)
    for _ in range(2):
        with pytest.raises(openai.APIConnectionError):
            ask(server)
    assert ask(server)
    assert server.counts().calls == 3
    assert server.counts().repeated == 2


def test_a_hang_lasts_until_the_client_gives_up(server: Server) -> None:
    server.fault("hang", count=1)
    with pytest.raises(openai.APITimeoutError):
        run(server, lambda client: client.with_options(timeout=0.1).chat.completions.create(**HELLO))
    assert ask(server)
    assert [entry.status for entry in server.log] == [0, 200]
    assert server.counts().calls == 1


def test_a_body_may_be_no_json(server: Server) -> None:
    server.fault("malformed")
    with pytest.raises((openai.APIResponseValidationError, json.JSONDecodeError)):
        ask(server)


def test_latency_is_felt_and_a_client_that_left_is_noted(server: Server) -> None:
    server.set(latency=0.1, jitter=0.05)
    began = time.monotonic()
    replies = ask_many(server, 20)
    assert 0.1 <= time.monotonic() - began < 1.5
    assert len({reply.id for reply in replies}) == 20
    assert server.counts().peak > 5
    assert all(0.1 <= entry.seconds < 1 for entry in server.log)
    with pytest.raises(openai.APITimeoutError):
        run(server, lambda client: client.with_options(timeout=0.05).chat.completions.create(**HELLO))
    deadline = time.monotonic() + 2
    while server.counts().in_flight and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.log[-1].status == 499
    assert server.counts().calls == 21


def test_one_slow_answer_among_quick_ones(server: Server) -> None:
    server.fault("slow", seconds=0.2, contains='"seed":3')
    ask_many(server, 5)
    assert [entry.name for entry in server.log if entry.seconds >= 0.2] == ["3"]


def test_beyond_the_ceiling_requests_are_rejected_with_headers(server: Server) -> None:
    server.set(ceiling=Ceiling(10, burst=4, headers=("retry-after", "retry-after-ms", "x-ratelimit")))
    replies = ask_many(server, 8)
    rejected = [reply for reply in replies if isinstance(reply, openai.RateLimitError)]
    assert len(rejected) == 4
    headers = rejected[-1].response.headers
    assert headers["retry-after"] == "1"
    assert 0 < int(headers["retry-after-ms"]) <= 100
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"].endswith("ms")
    assert sum(window.accepted for window in server.windows(0.5)) == 4
    assert sum(window.rejected for window in server.windows(0.5)) == 4
    time.sleep(0.15)
    raw = run(server, lambda client: client.chat.completions.with_raw_response.create(**HELLO))
    assert raw.headers["x-ratelimit-limit-requests"] == "4"
    server.set(ceiling=Ceiling(1, burst=1, headers=()))
    bare = [reply for reply in ask_many(server, 2) if isinstance(reply, openai.RateLimitError)]
    assert not [name for name in bare[0].response.headers if "retry" in name or "ratelimit" in name]


def test_beyond_what_it_carries_at_once_the_server_is_overloaded(server: Server) -> None:
    server.set(max_in_flight=3, latency=0.2)
    replies = ask_many(server, 6)
    assert sum(isinstance(reply, openai.InternalServerError) for reply in replies) == 3


def test_a_share_of_requests_fails_whatever_their_order(server: Server) -> None:
    def failed() -> set[int]:
        return {n for n, reply in enumerate(ask_many(server, 60)) if isinstance(reply, openai.APIError)}

    server.fault("server_error", fraction=0.3, seed=7)
    first = failed()
    assert 8 <= len(first) <= 30
    assert failed() != first  # the second time round is another draw, or a retry would never help
    server.reset()
    server.fault("server_error", fraction=0.3, seed=7)
    assert failed() == first


def test_faults_strike_by_predicate_and_after_some_that_are_spared(server: Server) -> None:
    server.fault("insufficient_quota", skip=2, when=lambda asked: asked.body["seed"] % 2 == 0)
    replies = ask_many(server, 10)
    struck = {n for n, reply in enumerate(replies) if isinstance(reply, openai.RateLimitError)}
    assert len(struck) == 3
    assert all(n % 2 == 0 for n in struck)
    server.clear_faults()
    assert not any(isinstance(reply, Exception) for reply in ask_many(server, 10))
    with pytest.raises(ValueError, match="no fault is called 'tired'"):
        server.fault("tired")


def lines(count: int, model: str = "small") -> list[Json]:
    """Lines of a batch."""
    return [
        {
            "custom_id": f"line-{n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": HELLO | {"model": model, "seed": n},
        }
        for n in range(count)
    ]


async def submit(client: AsyncOpenAI, wanted: list[Json], **metadata: str) -> Batch:
    """Upload and submit."""
    data = "\n".join(map(json.dumps, wanted)).encode()
    file = await client.files.create(file=("lines.jsonl", data), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=metadata
    )


async def follow(
    client: AsyncOpenAI, batch: Batch, until: Callable[[Batch], bool] | None = None
) -> tuple[Batch, list[str]]:
    """Poll until the batch ends, or so; gives the statuses seen."""
    seen: list[str] = []
    ended = {"completed", "failed", "expired", "cancelled"}
    while True:
        batch = await client.batches.retrieve(batch.id)
        seen += [batch.status] if batch.status not in seen else []
        if batch.status in ended or (until and until(batch)):
            return batch, seen
        await asyncio.sleep(0.01)


async def read(client: AsyncOpenAI, id_: str | None) -> list[Json]:
    """The lines of an output or error file."""
    return [json.loads(line) for line in (await client.files.content(id_)).text.splitlines()] if id_ else []


def counted(batch: Batch) -> tuple[int, int, int]:
    assert batch.request_counts is not None
    return batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed


def test_a_batch_goes_its_way_and_answers_each_line_out_of_order(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        batch, seen = await follow(client, await submit(client, lines(20), build="one"))
        assert seen == ["validating", "in_progress", "finalizing", "completed"]
        assert counted(batch) == (20, 20, 0)
        assert batch.error_file_id is None
        output = await read(client, batch.output_file_id)
        ids = [line["custom_id"] for line in output]
        assert sorted(ids) == sorted(line["custom_id"] for line in lines(20))
        assert ids != sorted(ids, key=lambda id_: int(id_.split("-")[1]))
        assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in output)
        one = next(line for line in output if line["custom_id"] == "line-3")["response"]["body"]
        online = await client.chat.completions.create(**HELLO, seed=3)
        assert one["choices"][0]["message"]["content"] == online.choices[0].message.content
        assert batch.usage is not None and batch.usage.total_tokens > 0

    run(server, story)
    assert (server.counts().batches_submitted, server.counts().lines_executed) == (1, 20)
    assert server.calls(body_hash(HELLO | {"seed": 3})) == 2
    assert {entry.name for entry in server.log if entry.batch} == {f"line-{n}" for n in range(20)}


def test_lines_that_fail_are_in_the_error_file(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        server.fault("server_error", where="batch", count=3)
        server.fault("truncated", where="batch", count=1)
        batch, _ = await follow(client, await submit(client, lines(10)))
        assert (batch.status, counted(batch)) == ("completed", (10, 7, 3))
        errors = await read(client, batch.error_file_id)
        assert {line["response"]["status_code"] for line in errors} == {500}
        output = await read(client, batch.output_file_id)
        assert [line["response"]["body"]["choices"][0]["finish_reason"] for line in output].count("length") == 1

    run(server, story)


def test_a_batch_that_expires_keeps_the_lines_that_are_done(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        server.set(batch=BatchPlan(outcome="expired", done=0.4))
        batch, _ = await follow(client, await submit(client, lines(10)))
        assert (batch.status, counted(batch)) == ("expired", (10, 4, 0))
        assert len(await read(client, batch.output_file_id)) == 4
        errors = await read(client, batch.error_file_id)
        assert [line["error"]["code"] for line in errors] == ["batch_expired"] * 6
        assert errors[0]["response"] is None

    run(server, story)


def test_a_batch_that_is_cancelled_keeps_the_lines_that_are_done(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        server.set(batch=BatchPlan(outcome="waits", done=0.5))
        batch = await submit(client, lines(10))
        batch, _ = await follow(client, batch, lambda batch: counted(batch)[1] == 5)
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        batch, _ = await follow(client, batch)
        assert (batch.status, counted(batch)) == ("cancelled", (10, 5, 0))
        assert len(await read(client, batch.output_file_id)) == 5
        errors = await read(client, batch.error_file_id)
        assert [line["error"]["code"] for line in errors] == ["batch_cancelled"] * 5
        with pytest.raises(openai.ConflictError, match="Cannot cancel"):
            await client.batches.cancel(batch.id)

    run(server, story)


def test_a_batch_that_makes_no_sense_or_is_not_welcome_fails_validation(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        wrong = [*lines(2), *lines(1), *lines(1, "large"), {"custom_id": "empty"}]
        batch, seen = await follow(client, await submit(client, wrong))
        assert seen[-1] == "failed" and batch.errors is not None and batch.errors.data is not None
        found = {(error.code, error.line) for error in batch.errors.data}
        assert found >= {("duplicate_custom_id", 3), ("mismatched_model", None), ("missing_required_parameter", 5)}
        server.set(batch=BatchPlan(outcome="failed"))
        batch, _ = await follow(client, await submit(client, lines(2)))
        assert batch.errors is not None and batch.errors.data is not None
        assert [error.code for error in batch.errors.data] == ["token_limit_exceeded"]

    run(server, story)
    assert server.counts().lines_executed == 0


def test_batches_are_listed_newest_first_with_their_metadata_page_by_page(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        made = [(await submit(client, lines(1), build=str(n))).id for n in range(5)]
        listed = [batch async for batch in client.batches.list(limit=2)]
        assert [batch.id for batch in listed] == made[::-1]
        assert [batch.metadata for batch in listed] == [{"build": str(n)} for n in (4, 3, 2, 1, 0)]

    run(server, story)


def test_a_batch_can_be_taken_on_without_its_sender_hearing_of_it(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        server.fault("cut", route="POST /v1/batches", count=1)
        with pytest.raises(openai.APIConnectionError):
            await submit(client, lines(1), build="lost")
        assert [batch.metadata async for batch in client.batches.list()] == [{"build": "lost"}]

    run(server, story)


def test_files_are_kept_and_deleted(server: Server) -> None:
    async def story(client: AsyncOpenAI) -> None:
        data = b"one\r\n--two\n\xff\n"
        file = await client.files.create(file=("lines.jsonl", data), purpose="batch")
        assert (file.bytes, file.filename, file.purpose) == (len(data), "lines.jsonl", "batch")
        assert (await client.files.retrieve(file.id)).bytes == len(data)
        assert (await client.files.content(file.id)).content == data
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError, match="No such File"):
            await client.files.content(file.id)
        with pytest.raises(openai.BadRequestError, match="No such File"):
            await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")

    run(server, story)


def test_a_server_in_a_process_of_its_own_is_steered_over_http() -> None:
    with spawn(latency=0.05, ceiling=Ceiling(1000)) as server:

        async def story() -> list[Any]:
            async with AsyncOpenAI(base_url=server.url, api_key=server.key, max_retries=0) as client:
                asking = [client.chat.completions.create(**HELLO, seed=n % 8) for n in range(10)]
                return await asyncio.gather(*asking, return_exceptions=True)

        server.fault("overloaded", count=2)
        replies = asyncio.run(story())
        counts = server.counts()
        assert sum(isinstance(reply, openai.InternalServerError) for reply in replies) == 2
        assert counts.by_status == {"200": 8, "503": 2}
        assert server.calls(body_hash(HELLO | {"seed": 5})) == 1
        assert sum(window.accepted for window in server.windows()) == 8
        assert all(entry.seconds >= 0.05 for entry in server.log if entry.status == 200)
        server.reset()
        assert server.counts().requests == 0
        server.clear_faults()
        server.set(batch=BatchPlan(seconds=0))
        with pytest.raises(ValueError, match="no fault is called 'tired'"):
            server.fault("tired")
