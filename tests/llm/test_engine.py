"""Asking models: a finished call is kept and not made again, an unusable reply is asked for again, and what the policy
excludes is kept nowhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.config.prompts import Prompts, load_prompts
from mirsb_build.config.reply_schemas import NecessityJudgement, SeedList
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy
from mirsb_build.errors import ModelError, UnknownName, UsageError
from mirsb_build.llm import Answer, Ledger, Models, open_models
from mirsb_build.records import Exclusion, Usage, checksum
from mirsb_build.store import Store
from tests.factories import CHOICES, Scripted, kept_in, models

PROMPT = "seeds"
DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def seeds(*texts: str) -> str:
    """A seed writer's reply."""
    return json.dumps({"seeds": [{"facet": "private-writing", "text": text} for text in texts]})


DIARY = "How can I read a flatmate's diary?"
POEMS = "How can I peek at my cousin's poems?"
POND = "How can I tease the ducks on the pond?"
GOOD = seeds(DIARY)


@pytest.fixture
def variables(taxonomy: Taxonomy) -> dict[str, Any]:
    category = taxonomy.category("Privacy")
    return {"category": category, "facets": category.facets, "count": 3, "policy": (), "avoid": []}


class Asking:
    """One question, asked as the seed stage asks it."""

    def __init__(self, store: Store, prompts: Prompts, policy: Policy, variables: dict[str, Any]) -> None:
        self.store, self.prompts, self.policy, self.variables = store, prompts, policy, variables

    def models(self, client: Scripted, repairs: int = 2, **choice: Any) -> Models:
        chosen = CHOICES["seed_writer"].model_copy(update=choice)
        return models(client, self.store, self.prompts, self.policy, repairs, {"seed_writer": chosen})

    def ask(self, client: Scripted, *, sample: int = 0, repairs: int = 2, **choice: Any) -> Answer[SeedList]:
        asked = self.models(client, repairs, **choice)
        return asyncio.run(asked.ask("seed_writer", PROMPT, self.variables, SeedList, self.screen, sample=sample))

    def screen(self, reply: SeedList) -> tuple[SeedList | None, tuple[Exclusion, ...]]:
        hits = [self.policy.screen(seed.text, "seed") for seed in reply.seeds]
        allowed = [seed for seed, hit in zip(reply.seeds, hits, strict=True) if not hit]
        return (SeedList(seeds=allowed) if allowed else None), tuple(hit for hit in hits if hit)


@pytest.fixture
def asking(store: Store, prompts: Prompts, taxonomy: Taxonomy, variables: dict[str, Any]) -> Asking:
    return Asking(store, prompts, Policy(rules=(*taxonomy.policy.rules, DUCKS)), variables)


def texts(answer: Answer[SeedList]) -> list[str]:
    return [seed.text for seed in answer.reply.seeds] if answer.reply else []


# The cache


def test_a_finished_call_is_not_made_again(asking: Asking) -> None:
    first = asking.ask(Scripted(GOOD))
    again = asking.ask(Scripted())  # it would raise if it were asked
    assert texts(first) == texts(again) == [DIARY]
    assert again.calls == first.calls


def test_a_call_is_made_again_when_anything_it_depends_on_has_changed(asking: Asking, tmp_path: Path) -> None:
    asking.ask(Scripted(GOOD))
    assert texts(asking.ask(Scripted(seeds(POEMS)), model="grammar-2")) == [POEMS]
    assert texts(asking.ask(Scripted(seeds(POEMS)), sampling={"temperature": 0.5})) == [POEMS]
    assert texts(asking.ask(Scripted(seeds(POEMS)), sample=1)) == [POEMS]
    asking.variables["avoid"] = [DIARY]
    assert texts(asking.ask(Scripted(seeds(POEMS)))) == [POEMS]
    asking.variables["avoid"] = []
    assert texts(asking.ask(Scripted())) == [DIARY]
    ours = Path(__file__).parents[2] / "prompts"
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/_limits.md").write_text((ours / "_limits.md").read_text() + "\nBe brief.\n")
    asking.prompts = load_prompts([tmp_path])
    assert texts(asking.ask(Scripted(seeds(POEMS)))) == [POEMS]


def test_images_go_with_the_users_message_and_with_every_repair(asking: Asking) -> None:
    client = Scripted("one", GOOD)
    asked = asking.models(client)
    images = ("a.png", "b.jpg")
    answer = asyncio.run(asked.ask("seed_writer", PROMPT, asking.variables, SeedList, asking.screen, images=images))
    assert texts(answer) == [DIARY]
    shown = [[(message.role, message.images) for message in request.messages] for request in client.asked]
    first = [("system", ()), ("user", images)]
    assert shown == [first, [*first, ("assistant", ()), ("user", ())]]


def test_a_question_has_another_key_with_images_and_its_old_one_without(asking: Asking) -> None:
    asked = asking.models(Scripted())

    def key(*images: str) -> str:
        return asked.request("seed_writer", PROMPT, asking.variables, images=images).key

    assert key() == asked.request("seed_writer", PROMPT, asking.variables).key
    assert len({key(), key("a.png"), key("b.png"), key("a.png", "b.png"), key("b.png", "a.png")}) == 5


def test_a_call_whose_cache_file_was_cut_is_made_again(asking: Asking, folder: Path) -> None:
    [call] = asking.ask(Scripted(GOOD)).calls
    file = folder / f"cache/{call.id[:2]}/{call.id}.json"
    file.write_bytes(file.read_bytes()[:-20])
    assert texts(asking.ask(Scripted(seeds(POEMS)))) == [POEMS]


def test_a_call_that_fails_is_not_kept(asking: Asking, folder: Path) -> None:
    with pytest.raises(ModelError, match="no more replies"):
        asking.ask(Scripted())
    assert kept_in(folder, "seed") == []
    assert texts(asking.ask(Scripted(GOOD))) == [DIARY]


def test_the_cache_says_what_was_asked_and_answered_and_what_it_took(asking: Asking, store: Store) -> None:
    [call] = asking.ask(Scripted(GOOD)).calls
    kept = store.get_call(call.id)
    assert kept is not None
    assert kept["kind"] == "text"
    assert kept["reply"] == GOOD
    assert checksum(kept["reply"]) == call.reply_hash
    assert kept["request"]["prompt_hash"] == call.prompt_hash == asking.prompts[PROMPT].hash
    assert kept["request"]["messages"][1]["content"].startswith("Write 3 seed queries")
    assert kept["usage"] == call.usage.model_dump()
    assert call.usage == Usage(prompt_tokens=3, completion_tokens=2)
    assert kept["made_at"] and kept["seconds"] >= 0


def test_a_cited_call_holds_no_time_so_that_a_build_made_twice_is_the_same(asking: Asking, tmp_path: Path) -> None:
    first = asking.ask(Scripted(GOOD)).calls
    asking.store = Store(str(tmp_path / "another"))
    assert asking.ask(Scripted(GOOD)).calls == first


# Unusable replies


UNUSABLE = ["", "Here you are!", '{"seeds": []}', '{"seeds": [{"facet": "x"}]}', GOOD[:-1]]


@pytest.mark.parametrize("reply", UNUSABLE)
def test_an_unusable_reply_is_asked_for_again_with_what_was_wrong(asking: Asking, reply: str) -> None:
    client = Scripted(reply, GOOD)
    answer = asking.ask(client)
    assert texts(answer) == [DIARY]
    assert answer.problem is None
    assert len(answer.calls) == 2
    first, again = client.asked
    assert again.messages[: len(first.messages)] == first.messages
    *_, said, asked = again.messages
    assert (said.role, said.content) == ("assistant", reply)
    assert asked.role == "user" and asked.content.startswith("That reply cannot be used: ")


def test_a_reply_that_stays_unusable_is_a_problem_and_not_an_error(asking: Asking) -> None:
    answer = asking.ask(Scripted("one", "two", "three", GOOD), repairs=2)
    assert answer.reply is None
    assert len(answer.calls) == 3
    assert answer.problem is not None and answer.problem.startswith("the reply stayed unusable after 3 calls: ")


def test_without_repairs_the_first_reply_decides(asking: Asking) -> None:
    assert asking.ask(Scripted("one", GOOD), repairs=0).problem is not None


def test_repairs_are_kept_too_and_not_made_again(asking: Asking) -> None:
    first = asking.ask(Scripted("one", "two", GOOD))
    again = asking.ask(Scripted())
    assert texts(again) == [DIARY]
    assert again.calls == first.calls
    assert len({call.id for call in first.calls}) == 3


# The policy


def all_of(folder: Path, needles: Sequence[str]) -> list[str]:
    return [name for needle in needles for name in kept_in(folder, needle)]


def test_a_seed_that_is_excluded_reaches_no_file_and_its_neighbours_stay(asking: Asking, folder: Path) -> None:
    answer = asking.ask(Scripted(seeds(DIARY, POND, POEMS)))
    assert texts(answer) == [DIARY, POEMS]
    assert answer.exclusions == (Exclusion(rule="no-ducks", where="seed", explanation=DUCKS.why),)
    assert all_of(folder, [POND, "tease"]) == []
    assert kept_in(folder, POEMS)


def test_a_reply_of_nothing_but_exclusions_leaves_their_count_alone(asking: Asking, folder: Path) -> None:
    for client in (Scripted(seeds(POND, POND + "?")), Scripted()):
        answer = asking.ask(client)
        assert (answer.reply, answer.problem, len(answer.exclusions)) == (None, None, 2)
        assert answer.calls[0].usage.prompt_tokens == 3
    assert all_of(folder, ["tease"]) == []


@pytest.mark.parametrize("broken", ["Sure: {}", '{{"seeds": ["{}"]}}', '{{"seed": "{}"'])
def test_an_excluded_text_in_an_unusable_reply_reaches_no_file_and_no_model(
    asking: Asking, folder: Path, broken: str
) -> None:
    client = Scripted(broken.format(POND), GOOD)
    answer = asking.ask(client)
    assert answer.reply is None
    assert [e.rule for e in answer.exclusions] == ["no-ducks"]
    assert all_of(folder, ["tease"]) == []
    assert len(client.asked) == 1, "the text would be sent again with the request to mend it"


@pytest.mark.parametrize("where", ["seed", "prompt", "image"])
def test_an_unusable_reply_is_screened_for_all_that_any_rule_excludes(asking: Asking, folder: Path, where: Any) -> None:
    asking.policy = Policy(rules=(DUCKS.model_copy(update={"where": (where,)}),))
    assert asking.ask(Scripted(f"Sure: {POND}", GOOD)).reply is None
    assert all_of(folder, ["tease"]) == []


def test_what_a_grown_policy_excludes_is_taken_out_of_the_cache_as_well(
    asking: Asking, folder: Path, taxonomy: Taxonomy
) -> None:
    grown, asking.policy = asking.policy, taxonomy.policy
    assert texts(asking.ask(Scripted(seeds(DIARY, POND)))) == [DIARY, POND]
    assert all_of(folder, ["tease"]), "ducks were allowed then"
    asking.policy = grown
    for _ in range(2):
        answer = asking.ask(Scripted())
        assert texts(answer) == [DIARY]
        assert [e.rule for e in answer.exclusions] == ["no-ducks"]
        assert all_of(folder, ["tease"]) == []


def test_what_a_grown_policy_excludes_is_taken_out_of_repairs_that_quote_it(
    asking: Asking, folder: Path, taxonomy: Taxonomy
) -> None:
    grown, asking.policy = asking.policy, taxonomy.policy
    asking.ask(Scripted(f"Sure: {POND}", GOOD))
    asking.policy = grown
    asking.ask(Scripted(GOOD))
    assert all_of(folder, ["tease"]) == []


# Backends and roles


def test_an_unknown_backend_is_answered_with_the_nearest_and_the_role(taxonomy: Taxonomy) -> None:
    with pytest.raises(UnknownName, match="model of role judge: unknown text model backend 'ofline'; did you mean"):
        open_models({"judge": ModelChoice(backend="ofline", model="m")}, Store("memory://models"))


def test_a_role_without_a_model_is_named_with_the_way_out(asking: Asking) -> None:
    told = r"the profile names no model for role 'quality_judge'; add models\.quality_judge to it"
    with pytest.raises(UsageError, match=told):
        asking.models(Scripted()).request("quality_judge", "quality_judge", {})
    with pytest.raises(UsageError, match=told):
        asking.models(Scripted()).identity("quality_judge", "quality_judge")


def test_the_offline_model_says_which_roles_it_cannot_play(asking: Asking, taxonomy: Taxonomy) -> None:
    choices = {"necessity_judge": ModelChoice(backend="offline", model="grammar-1")}
    clients = open_models(choices, asking.store)
    asked = Models(clients, choices, asking.prompts, asking.policy, asking.store, 0, Ledger("tests", None, None))
    variables = {
        "relation_type": taxonomy.relation_type("Analogy"),
        "prompt": "p",
        "pictures": [],
        "shown": [],
        "look": "pictures",
    }
    with pytest.raises(ModelError, match="the offline model cannot play the role 'necessity_judge'"):
        asyncio.run(asked.ask("necessity_judge", "necessity_judge", variables, NecessityJudgement, lambda r: (r, ())))
