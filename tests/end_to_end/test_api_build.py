"""Builds by models behind an API: every candidate accounted for whatever the endpoint does, nothing asked twice, a
budget that holds, errors in one line, and a key that is written nowhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirsb_build.build.context import Context, open_context
from mirsb_build.errors import BudgetReached, ModelError, UnknownName, UsageError
from mirsb_build.history import History
from mirsb_build.llm.openai import endpoint as endpoint_module
from mirsb_build.records import BuildOrder
from mirsb_build.views import Funnel, funnel, write_report
from tests.end_to_end.program import CHECKOUT, PrefectServer, Program, all_of, error_line
from tests.factories import SMALL, kept_in, order, run
from tests.openai_server import Asked, Fault, Server, serve

KEY = "sk-loopback-zebra-7731-marmalade"
PRICES = {"prompt": 1.0, "completion": 4.0}


def is_revising(asked: Asked) -> bool:
    return '"pictures"' in asked.raw.decode()


class Api:
    """A server, and builds that its models write."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.profile = folder / "api.yaml"
        self.store = folder / "store"
        self.choose()

    def choose(self, **changes: Any) -> None:
        """Write the profile: one model for both roles."""
        model = {"backend": "openai", "model": "tiny-1", "base_url": self.server.url, "key_variable": "TESTS_KEY"}
        model |= {"concurrency": 4, "timeout": 5.0, "deadline": 5.0} | changes
        kept = {name: value for name, value in model.items() if value is not None}
        models = {"seed_writer": kept, "revisor": kept}
        limits = {"max_iterations": 2}
        self.profile.write_text(yaml.safe_dump({"extends": "offline", "models": models, "limits": limits}))

    def open(self, *settings: str, **changes: Any) -> Context:
        asked = order(self.store, *settings, profile=self.profile, build="api")
        return open_context(BuildOrder(**(asked.model_dump() | changes)))

    def build(self, *settings: str, **changes: Any) -> Context:
        opened = self.open(*settings, **changes)
        run(opened)
        return opened

    def funnel(self) -> Funnel:
        """The count of the build, which has to add up."""
        counted = funnel(History(self.open().store, "api"))
        assert counted.candidates == counted.passed + counted.failed + counted.dead + counted.open
        assert counted.calls == sum(counted.replies.values())
        assert sum(counted.dead_because.values()) == counted.dead
        return counted

    def fault(self, kind: str, **conditions: Any) -> Fault:
        """Let the revisor's replies go wrong."""
        return self.server.fault(kind, **({"when": is_revising} | conditions))

    def requests(self) -> int:
        return self.server.counts().requests

    def arguments(self, *more: str) -> list[str]:
        """Of `mirsb build`, for the same build."""
        settings = [argument for setting in SMALL for argument in ("--set", setting)]
        return ["build", "api", "--profile", str(self.profile), "--store", str(self.store), *settings, *more]


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("TESTS_KEY", KEY)
    monkeypatch.setattr(endpoint_module, "BACKOFF", 0.02)
    with serve(key=KEY) as server:
        yield Api(server, tmp_path)


# Every candidate accounted for


def test_a_build_over_an_api_ends_with_every_candidate_accounted_for_and_is_not_asked_again(api: Api) -> None:
    api.build()
    counted = api.funnel()
    assert counted.candidates == 18
    assert counted.open == counted.dead == 0
    assert counted.calls == api.server.counts().calls - 1  # less the one that found out how to ask for JSON
    assert api.server.counts().repeated == 0
    before = api.requests()
    api.build()
    assert api.requests() == before


def test_a_build_over_a_troubled_api_loses_nothing_and_is_the_same(api: Api, tmp_path: Path) -> None:
    api.build()
    untroubled = api.funnel()
    for seed, kind in enumerate(("rate_limited", "overloaded", "server_error", "cut")):
        api.server.fault(kind, fraction=0.1, seed=seed)
    api.store = tmp_path / "another"
    api.build()
    assert api.funnel() == untroubled


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("refusal", "refused", "the model refused"),
        ("refusal_words", "refused", "the model refused"),
        ("content_filter", "filtered", "a content filter stopped the reply"),
        ("empty", "empty", "the reply was empty"),
        ("truncated", "truncated", "the reply was cut off at the token limit"),
        ("violating", "invalid", "prompt: Field required"),
    ],
)
def test_candidates_whose_replies_stay_unusable_are_dead_with_the_reason_and_come_back_when_asked_for(
    api: Api, fault: str, outcome: str, reason: str
) -> None:
    api.fault(fault)
    api.build("limits.repairs=1")
    counted = api.funnel()
    assert (counted.candidates, counted.dead) == (18, 18)
    assert counted.dead_because == {f"the reply stayed unusable after 2 calls: {reason}": 18}
    assert counted.replies[outcome] == 36
    before = api.requests()
    api.server.clear_faults()
    api.build("limits.repairs=1")  # the same command asks nothing again
    assert api.requests() == before
    api.build("limits.repairs=1", retry_dead=True)
    counted = api.funnel()
    assert counted.dead == 0
    assert counted.candidates == 18
    assert api.requests() > before
    before = api.requests()
    api.build("limits.repairs=1")  # and the revived stay alive
    assert api.requests() == before
    assert api.funnel() == counted


def test_some_dead_candidates_leave_the_others_alone(api: Api) -> None:
    api.fault("refusal", contains="Analogy")
    api.build()
    counted = api.funnel()
    dead = {cell.relation_type for cell in counted.cells if cell.dead}
    assert 0 < counted.dead < 18
    assert dead == {cell.relation_type for cell in counted.cells if cell.dead == cell.candidates}
    alive = counted.replies["usable"]
    api.server.clear_faults()
    before = api.requests()
    api.build(retry_dead=True)
    again = api.funnel()
    assert again.dead == 0
    assert api.requests() - before <= again.replies["usable"] - alive + 2


def test_fenced_and_chatty_replies_are_used_and_counted(api: Api) -> None:
    api.fault("fenced", fraction=0.5)
    api.fault("chatty")
    api.build("limits.max_iterations=1")
    counted = api.funnel()
    assert counted.dead == 0
    assert counted.replies["fenced"] + counted.replies["chatty"] == 18
    assert counted.replies["fenced"] > 0
    assert counted.replies["chatty"] > 0


# What no repetition mends


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("invalid_key", "does not accept the key: Incorrect API key provided"),
        ("unknown_model", "The model `tiny-1` does not exist."),
        ("insufficient_quota", "You exceeded your current quota."),
    ],
)
def test_a_key_model_or_quota_that_fails_stops_the_build_at_once_and_keeps_what_is_finished(
    api: Api, fault: str, said: str
) -> None:
    struck = api.fault(fault, skip=6)
    with pytest.raises(ModelError) as stop:
        api.build()
    assert said in str(stop.value)
    assert "\n" not in str(stop.value)
    assert struck.hits <= 4  # those that were under way
    api.server.clear_faults()
    api.build()
    assert api.server.counts().repeated == 0
    assert api.funnel().open == 0


def test_an_endpoint_that_is_not_there_is_one_line_soon(api: Api) -> None:
    with serve() as gone:
        url = gone.url
    api.choose(base_url=url, deadline=0.3)
    began = time.monotonic()
    with pytest.raises(ModelError, match="cannot be reached") as stop:
        api.build()
    assert str(stop.value).startswith(url)
    assert time.monotonic() - began < 5


# Bad input


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("limits.calls=0", "--set limits.calls=0: "),
        ("limits.cost=0", "--set limits.cost=0: "),
        ("limits.cost=1.5", "--max-cost needs the prices of every model, and 'seed_writer' has none; add "),
        ("models.revisor.prices.prompt=1.0", "models.revisor.prices.completion"),
        ("models.revisor.key_variable=TESTS_UNSET", "needs the environment variable TESTS_UNSET; set it, or use "),
        ("models.revisor.key_file=/dev/null", "key file /dev/null is empty; put the key into it"),
    ],
)
def test_bad_input_is_one_clear_line_before_anything_is_sent(api: Api, setting: str, said: str) -> None:
    with pytest.raises(UsageError) as stop:
        api.open(setting).check_ready()
    assert said in str(stop.value)
    assert "\n" not in str(stop.value)
    assert api.requests() == 0


def test_a_role_that_nothing_plays_is_answered_with_the_nearest(api: Api) -> None:
    profile = yaml.safe_load(api.profile.read_text())
    profile["models"]["revizor"] = profile["models"]["revisor"]
    api.profile.write_text(yaml.safe_dump(profile))
    with pytest.raises(UnknownName, match="unknown role 'revizor'; did you mean 'revisor'"):
        api.open()


# The budget


def test_a_limit_of_calls_stops_the_build_and_a_larger_one_goes_on_without_a_repeated_call(api: Api) -> None:
    for limit in (1, 7, 15):
        with pytest.raises(BudgetReached, match="--max-calls"):
            api.build(f"limits.calls={limit}")
        assert api.server.counts().calls - 1 <= limit
    assert api.server.counts().calls - 1 == 15
    api.build("limits.calls=1000")
    assert api.server.counts().repeated == 0
    assert api.funnel().open == 0


def test_a_limit_of_cost_stops_the_build_near_it_and_a_larger_one_goes_on(api: Api) -> None:
    api.choose(prices=PRICES)
    api.build()
    whole = api.funnel().cost
    assert whole > 0
    api.store = api.folder / "another"
    api.server.reset()
    with pytest.raises(BudgetReached, match="--max-cost"):
        api.build(f"limits.cost={whole / 2}")
    stopped = api.server.counts().calls
    assert stopped > 2
    api.build(f"limits.cost={2 * whole}")
    counts = api.server.counts()
    assert counts.repeated == 0
    assert counts.calls > stopped
    assert api.funnel().cost == pytest.approx(whole)


# Damage and death


def test_a_cache_file_that_was_cut_in_half_is_asked_again_and_no_other(api: Api) -> None:
    api.build("limits.max_iterations=1")
    (call, *_) = [c for c in History(api.open().store, "api").calls() if c.role == "revisor"]
    file = api.store / f"cache/{call.id[:2]}/{call.id}.json"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    for shard in (api.store / "builds/api/decompose").rglob("*.jsonl"):
        shard.unlink()
    api.build("limits.max_iterations=1")
    assert api.server.counts().repeated == 1


PART = """
import sys
from mirsb_build.records import BuildOrder
from mirsb_build.build.context import open_context
from tests.factories import run
run(open_context(BuildOrder.model_validate_json(sys.argv[1])))
"""


def test_a_killed_build_repeats_no_more_calls_than_were_under_way(api: Api) -> None:
    api.server.set(latency=0.1)
    settings = "limits.shard_size=24"
    asked = api.open(settings).order.model_dump_json()
    process = subprocess.Popen([sys.executable, "-c", PART, asked], cwd=CHECKOUT, env=os.environ | {"TESTS_KEY": KEY})
    try:
        deadline = time.monotonic() + 60
        while api.server.counts().calls < 12:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    api.build(settings)
    counted = api.funnel()
    assert counted.open == 0
    assert api.server.counts().repeated <= 4


# The key


def test_the_key_is_in_no_byte_that_a_build_writes(api: Api, capfd: pytest.CaptureFixture[str]) -> None:
    api.fault("rate_limited", count=2, message="Slow down, {key}.")
    api.fault("prompt_filter", contains="Analogy", message="{key} may not ask this.")
    opened = api.build()
    write_report(History(opened.store, opened.name))
    assert (api.store / "builds/api/report.html").exists()
    assert kept_in(api.store, "*** may not ask this.") != []
    assert kept_in(api.store, KEY) == []
    said = capfd.readouterr()
    assert KEY not in said.out + said.err


def test_a_key_from_a_file_is_in_no_byte_that_a_build_writes(api: Api, tmp_path: Path) -> None:
    (tmp_path / "the-key").write_text(f"{KEY}\n")
    api.choose(key_variable=None, key_file=str(tmp_path / "the-key"))
    opened = api.build("limits.max_iterations=1")
    write_report(History(opened.store, opened.name))
    assert kept_in(api.store, KEY) == []


# The command line


@pytest.fixture
def mirsb(prefect_server: PrefectServer) -> Program:
    return prefect_server.program.also(TESTS_KEY=KEY)


def test_the_command_stops_at_its_budget_with_exit_code_4_and_keeps_what_is_finished(api: Api, mirsb: Program) -> None:
    done = mirsb(*api.arguments("--max-calls", "9"))
    assert "the budget of 9 calls is reached; what is finished is kept" in error_line(done, 4)
    assert KEY not in all_of(done)
    assert api.server.counts().calls - 1 == 9
    api.build()
    assert api.server.counts().repeated == 0
    assert kept_in(api.store, KEY) == []


def test_the_command_says_in_one_line_what_the_provider_said_and_never_the_key(api: Api, mirsb: Program) -> None:
    api.server.fault("invalid_key", message="Nobody knows {key} here.")
    done = mirsb(*api.arguments())
    line = error_line(done, 1)
    assert f"{api.server.url} does not accept the key: Nobody knows *** here." in line
    assert KEY not in all_of(done)
    debugged = mirsb(*api.arguments(), MIRSB_DEBUG="1")
    assert "Traceback" in debugged.stderr
    assert "Nobody knows *** here." in debugged.stderr
    assert KEY not in all_of(debugged)
    assert kept_in(api.store, KEY) == []


def test_a_budget_of_zero_and_a_cost_limit_without_prices_are_one_line_each(api: Api, mirsb: Program) -> None:
    assert "limits.calls=0" in error_line(mirsb(*api.arguments("--max-calls", "0")), 2)
    assert "--max-cost needs the prices of every model" in error_line(mirsb(*api.arguments("--max-cost", "1")), 2)
    assert api.requests() == 0
