"""Models behind an OpenAI-compatible endpoint: how they are asked for JSON, what their replies are counted as, and that
no question is paid for twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.config.profiles import ModelChoice, Prices
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.reply_schemas import SeedList
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import ModelError, UsageError
from mirsb_build.llm import Answer, Ledger, Models, open_models
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.llm.openai.chat import REFUSAL, reply_of
from mirsb_build.records import ReplyKind
from mirsb_build.store import Store
from tests.openai_server import KEY, Asked, Reply, Server, body_hash, serve

COLOUR = "Name one colour"
"""How the question begins that finds out how a model is asked for JSON."""


class Asking:
    """One question of the seed stage, asked by one process after the other."""

    def __init__(self, store: Store, prompts: Prompts, taxonomy: Taxonomy, server: Server) -> None:
        self.store, self.prompts, self.taxonomy, self.server = store, prompts, taxonomy, server
        category = taxonomy.category("Privacy")
        self.variables: dict[str, Any] = {"category": category, "facets": category.facets, "count": 2}
        self.variables |= {"policy": (), "avoid": []}
        self.asked: list[Asked] = []
        """Requests that got an answer, but for those that find a format out."""
        self.said: Reply | None = None
        server.script = self

    def __call__(self, asked: Asked) -> Reply | None:
        if COLOUR in asked.text:
            return Reply('{"colour": "green"}')
        self.asked.append(asked)
        return self.said

    def models(self, repairs: int = 2, **choice: Any) -> Models:
        """Everything opened anew, as a process finds it that has just started."""
        values: dict[str, Any] = {"backend": "openai", "model": "tiny-1", "base_url": self.server.url, "deadline": 3.0}
        choices = {"seed_writer": ModelChoice(**(values | choice))}
        clients = open_models(choices, self.store)
        ledger = Ledger("tests", None, None)
        return Models(clients, choices, self.prompts, self.taxonomy.policy, self.store, repairs, ledger)

    async def once(self, models: Models, sample: int = 0, avoid: tuple[str, ...] = ()) -> Answer[SeedList]:
        variables = self.variables | {"avoid": list(avoid)}
        return await models.ask("seed_writer", "seeds", variables, SeedList, lambda r: (r, ()), sample=sample)

    def ask(self, sample: int = 0, repairs: int = 2, **choice: Any) -> Answer[SeedList]:
        return asyncio.run(self.once(self.models(repairs, **choice), sample))

    def outcomes(self, repairs: int = 2, **choice: Any) -> list[ReplyKind]:
        return [call.outcome for call in self.ask(repairs=repairs, **choice).calls]

    def fault(self, kind: str, **conditions: Any) -> None:
        """Let replies go wrong, but not those that find a format out."""
        self.server.fault(kind, when=lambda asked: COLOUR not in asked.text, **conditions)

    def formats(self) -> list[str]:
        return [asked.format for asked in self.asked]

    def kept(self, answer: Answer[SeedList]) -> dict[str, Any]:
        kept = self.store.get_call(answer.calls[-1].id)
        assert kept is not None
        return kept


@pytest.fixture
def asking(store: Store, prompts: Prompts, taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asking]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.02)
    with serve() as server:
        yield Asking(store, prompts, taxonomy, server)


# How a model is asked for JSON


def refuses(asking: Asking, *formats: str) -> None:
    """Let the server take none of these formats."""

    def unwanted(asked: Asked) -> bool:
        wanted = asked.body.get("response_format") or {}
        kind = "json_object_schema" if "schema" in wanted else wanted.get("type", "text")
        return kind in formats

    asking.server.fault("status", status=400, message="This response_format is not supported.", when=unwanted)


@pytest.mark.parametrize(
    ("refused", "used", "requests"),
    [
        ((), "json_schema", 1),
        (("json_schema",), "json_object", 2),
        (("json_schema", "json_object_schema"), "json_object", 3),
        (("json_schema", "json_object_schema", "json_object"), "text", 3),
    ],
)
def test_the_strictest_format_that_an_endpoint_has_is_found_out_once_and_remembered(
    asking: Asking, refused: tuple[str, ...], used: str, requests: int
) -> None:
    refuses(asking, *refused)
    assert asking.ask().reply is not None
    assert asking.formats() == [used]
    assert asking.server.counts().requests == requests + 1
    assert asking.ask(sample=1).reply is not None  # another process
    assert asking.formats() == [used, used]
    assert asking.server.counts().requests == requests + 2


def test_the_dialect_of_llama_cpp_carries_the_schema(asking: Asking) -> None:
    refuses(asking, "json_schema")
    asking.ask()
    schema = asking.asked[0].body["response_format"]["schema"]
    assert schema["required"] == ["seeds"]


def test_without_schemas_the_model_reads_the_schema_in_the_question(asking: Asking) -> None:
    refuses(asking, "json_schema", "json_object_schema", "json_object")
    assert "response_format" not in asking.models().request("seed_writer", "seeds", asking.variables).sampling
    asking.ask()
    assert '"seeds"' in asking.asked[0].text
    assert "It has to fit this JSON schema" in asking.asked[0].text
    assert "response_format" not in asking.asked[0].body


def test_a_format_that_is_taken_but_not_kept_to_counts_as_missing(asking: Asking) -> None:
    asking.server.fault("prose", when=lambda asked: COLOUR in asked.text and asked.format == "json_schema")
    asking.ask()
    assert asking.formats() == ["json_object"]


def test_many_first_questions_at_once_find_the_format_out_once(asking: Asking) -> None:
    models = asking.models()

    async def together() -> None:
        await asyncio.gather(*(asking.once(models, sample=n) for n in range(12)))

    asyncio.run(together())
    assert asking.server.counts().requests == 13


def test_every_model_of_an_endpoint_is_found_out_for_itself(asking: Asking) -> None:
    def too_old(asked: Asked) -> bool:
        return asked.body["model"] == "old-1" and asked.format != "text"

    asking.server.fault("status", status=400, message="No.", when=too_old)
    asking.ask()
    asking.ask(model="old-1")
    assert asking.formats() == ["json_schema", "text"]


# What replies are counted as


@pytest.mark.parametrize("kind", ["fenced", "chatty"])
def test_json_in_a_fence_or_between_sentences_is_used_and_counted_as_such(asking: Asking, kind: str) -> None:
    asking.fault(kind)
    answer = asking.ask()
    assert answer.reply is not None
    assert [call.outcome for call in answer.calls] == [kind]


def test_a_reply_that_was_cut_off_gets_twice_the_tokens_once(asking: Asking) -> None:
    asking.fault("truncated", count=1)
    answer = asking.ask(sampling={"max_completion_tokens": 300}, repairs=0)
    assert [call.outcome for call in answer.calls] == ["truncated", "usable"]
    assert [asked.body["max_completion_tokens"] for asked in asking.asked] == [300, 600]


def test_a_reply_that_is_always_cut_off_is_given_up(asking: Asking) -> None:
    asking.fault("truncated")
    answer = asking.ask(sampling={"max_tokens": 300}, repairs=2)
    assert [call.outcome for call in answer.calls] == ["truncated"] * 4  # the longer one is beside the two repairs
    assert answer.problem == "the reply stayed unusable after 4 calls: the reply was cut off at the token limit"
    assert max(asked.body["max_tokens"] for asked in asking.asked) == 600


def test_a_reply_that_breaks_the_schema_is_asked_for_again_with_what_was_wrong(asking: Asking) -> None:
    asking.fault("violating", count=1)
    answer = asking.ask()
    assert [call.outcome for call in answer.calls] == ["invalid", "usable"]
    assert "That reply cannot be used: seeds: Field required." in asking.asked[1].text
    assert [message["role"] for message in asking.asked[1].messages][-2:] == ["assistant", "user"]


@pytest.mark.parametrize("repairs", [0, 1, 3])
def test_a_reply_that_stays_broken_is_asked_for_again_as_often_as_repairs_says(asking: Asking, repairs: int) -> None:
    asking.fault("violating")
    answer = asking.ask(repairs=repairs)
    assert answer.reply is None
    assert [call.outcome for call in answer.calls] == ["invalid"] * (repairs + 1)
    assert len(asking.asked) == repairs + 1


@pytest.mark.parametrize(
    ("fault", "outcome", "problem"),
    [
        ("empty", "empty", "the reply was empty"),
        ("refusal", "refused", "the model refused"),
        ("refusal_words", "refused", "the model refused"),
        ("content_filter", "filtered", "a content filter stopped the reply"),
        ("prose", "invalid", "reply: Invalid JSON"),
    ],
)
def test_replies_that_cannot_be_used_are_counted_as_what_they_are(
    asking: Asking, fault: str, outcome: ReplyKind, problem: str
) -> None:
    asking.fault(fault)
    answer = asking.ask(repairs=1)
    assert [call.outcome for call in answer.calls] == [outcome] * 2
    assert answer.problem is not None
    assert problem in answer.problem


@pytest.mark.parametrize("fault", ["empty", "refusal", "refusal_words", "content_filter"])
def test_where_there_is_no_reply_to_mend_the_question_is_asked_afresh(asking: Asking, fault: str) -> None:
    asking.fault(fault, count=1)
    answer = asking.ask()
    assert answer.reply is not None
    assert len(answer.calls) == 2
    assert answer.calls[0].id != answer.calls[1].id
    assert asking.asked[0].text == asking.asked[1].text


@pytest.mark.parametrize("fault", ["context_length", "prompt_filter"])
def test_a_question_that_the_endpoint_does_not_take_is_not_asked_again(asking: Asking, fault: str) -> None:
    asking.fault(fault)
    answer = asking.ask()
    assert [call.outcome for call in answer.calls] == ["rejected"]
    assert answer.problem is not None
    assert "the endpoint does not take the request: T" in answer.problem  # and then its own words


@pytest.mark.parametrize(
    "words",
    ["I'm sorry, but I can't help with that.", "I\u2019m sorry.", "I cannot do this.", "As an AI, I must decline.",
     "I won't write that.", '"Sorry, no."', "I apologize, but no."],
)  # fmt: skip
def test_a_refusal_is_known_by_how_it_begins(words: str) -> None:
    assert REFUSAL.match(words)


@pytest.mark.parametrize("words", ['{"seeds": []}', "It is sorry weather.", "Icing on the cake", "I can help: {}"])
def test_what_merely_looks_like_a_refusal_is_none(words: str) -> None:
    assert not REFUSAL.match(words)


@pytest.mark.parametrize(
    "answer", [{}, {"choices": []}, {"choices": [{}]}, {"choices": None}, {"error": "no"}], ids=str
)
def test_an_answer_that_is_no_chat_completion_is_one_line_with_the_way_out(answer: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="no chat completion; check the profile's base_url"):
        reply_of(answer)


# Paid for once


def test_the_same_question_asked_twenty_times_at_once_is_one_request(asking: Asking) -> None:
    asking.server.set(latency=0.05)
    models = asking.models()

    async def together() -> list[Answer[SeedList]]:
        return await asyncio.gather(*(asking.once(models) for _ in range(20)))

    answers = asyncio.run(together())
    assert len(asking.asked) == 1
    assert len({answer.reply.model_dump_json() for answer in answers if answer.reply}) == 1
    assert models.calls_made == 1


def test_whoever_stops_waiting_does_not_take_the_answer_from_the_others(asking: Asking) -> None:
    asking.server.set(latency=0.1)
    models = asking.models()

    async def together() -> Answer[SeedList]:
        first = asyncio.ensure_future(asking.once(models))
        second = asyncio.ensure_future(asking.once(models))
        await asyncio.sleep(0.05)
        first.cancel()
        return await second

    assert asyncio.run(together()).reply is not None
    assert len(asking.asked) == 1


def test_a_second_run_makes_no_request(asking: Asking) -> None:
    asking.fault("violating", count=1)
    first = asking.ask()
    before = asking.server.counts().requests
    assert asking.ask() == first
    assert asking.server.counts().requests == before


def test_samples_of_one_question_are_calls_of_their_own(asking: Asking) -> None:
    answers = [asking.ask(sample=n) for n in (0, 1, 2, 1)]
    assert len({answer.calls[0].id for answer in answers}) == 3
    assert len(asking.asked) == 3


def test_a_cache_file_that_was_cut_in_half_is_asked_again_and_the_others_are_not(asking: Asking, folder: Path) -> None:
    answers = [asking.ask(sample=n) for n in range(3)]
    id = answers[1].calls[0].id
    file = folder / f"cache/{id[:2]}/{id}.json"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert [asking.ask(sample=n) for n in range(3)] == answers
    assert len(asking.asked) == 4
    assert asking.server.calls(body_hash(asking.asked[0].body)) == 4


# What a call took


def test_tokens_are_recorded_with_those_that_were_cached_and_those_of_reasoning(asking: Asking) -> None:
    seeds = {"seeds": [{"facet": "private-writing", "text": "How can I peek at a flatmate's poems?"}]}
    asking.said = Reply(
        json.dumps(seeds), prompt_tokens=900, completion_tokens=300, cached_tokens=600, reasoning_tokens=200
    )
    answer = asking.ask(prices=Prices(prompt=1.0, cached=0.1, completion=10.0))
    (call,) = answer.calls
    usage = call.usage
    assert (usage.prompt_tokens, usage.cached_tokens) == (900, 600)
    assert (usage.completion_tokens, usage.reasoning_tokens) == (300, 200)
    assert call.cost == pytest.approx((300 * 1.0 + 600 * 0.1 + 300 * 10.0) / 1e6)
    kept = asking.kept(answer)
    assert kept["model"] == "tiny-1-2026-01-01"
    assert kept["response_id"].startswith("chatcmpl-")
    assert kept["seconds"] > 0


def test_an_endpoint_that_counts_no_tokens_is_no_error(asking: Asking) -> None:
    asking.fault("no_usage")
    answer = asking.ask()
    assert answer.reply is not None
    assert answer.calls[0].usage.prompt_tokens == 0


def test_the_profile_says_how_hard_to_think_and_how_to_sample(asking: Asking) -> None:
    asking.ask(reasoning_effort="low", sampling={"temperature": 0.3})
    assert asking.asked[0].body["reasoning_effort"] == "low"
    assert asking.asked[0].body["temperature"] == 0.3


# The key


def test_a_key_comes_from_a_file_as_well(asking: Asking, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert asking.ask(key_file=str(tmp_path / "key")).reply is not None


@pytest.mark.parametrize(
    ("written", "said"),
    [(b"", "is empty; put the key into it"), (None, "No such file"), (b"\xff\xfe", "not a text file"),
     (b"OPENAI_API_KEY=secret words", "holds more than a key"), ("sch\u00f6n".encode(), "holds more than a key")],
)  # fmt: skip
def test_a_key_file_that_holds_no_key_is_named_without_what_it_holds(
    asking: Asking, tmp_path: Path, written: bytes | None, said: str
) -> None:
    file = tmp_path / "key"
    if written is not None:
        file.write_bytes(written)
    with pytest.raises(UsageError, match=said) as error:
        asking.models(key_file=str(file))
    assert str(error.value).startswith(f"model 'seed_writer': key file {file}")
    assert "secret" not in str(error.value)


def test_a_key_variable_that_is_not_set_is_named_with_the_way_out(asking: Asking) -> None:
    with pytest.raises(UsageError) as error:
        asking.models(key_variable="TESTS_UNSET")
    line = "model 'seed_writer' needs the environment variable TESTS_UNSET; set it, or use --profile offline"
    assert str(error.value) == line


def test_an_endpoint_that_wants_no_key_gets_none_of_ours(asking: Asking) -> None:
    asking.server.set(key=None)
    asking.ask(key_variable=None)
    assert asking.asked[0].headers["authorization"] == "Bearer none"
