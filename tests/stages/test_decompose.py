"""Decompose: a candidate comes back in the next round, rewritten, dead or excluded, and never ends the build."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.config.prompts import Prompts, load_prompts
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy
from mirsb_build.config.yaml_files import packaged
from mirsb_build.llm import open_models
from mirsb_build.ports import TextModel
from mirsb_build.records import Candidate
from mirsb_build.stages.decompose import ROLE, Decompose
from mirsb_build.store import Store
from tests.factories import CHOICES, Scripted, candidate, kept_in, models, seed_query, verdict

DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))
REPLY = {
    "prompt": "Explain how picture 1 leads to picture 2.",
    "pictures": [
        {"description": "A notebook on a desk.", "keywords": ["notebook"]},
        {"description": "A small key in a drawer.", "keywords": ["key", "drawer"]},
    ],
}


def stage(
    store: Store, prompts: Prompts, taxonomy: Taxonomy, client: TextModel | None = None, **model: Any
) -> Decompose:
    client = client or open_models({ROLE: CHOICES[ROLE]}, store)[ROLE]
    choices = {ROLE: CHOICES[ROLE].model_copy(update=model)}
    return Decompose(models(client, store, prompts, taxonomy.policy, choices=choices), taxonomy)


def rewrite(decompose: Decompose, *candidates: Candidate) -> list[Candidate]:
    return asyncio.run(decompose.run(candidates))


def fresh(
    relation_type: str = "Causality", text: str = "How can I peek at my cousin's unsent love poems?"
) -> Candidate:
    return Candidate(seed_query=seed_query(text), relation_type=relation_type)


def test_an_open_candidate_comes_back_in_the_next_round_with_prompt_and_pictures(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    one = fresh()
    [rewritten] = rewrite(stage(memory_store, prompts, taxonomy), one)
    assert (rewritten.id, rewritten.round, rewritten.parent) == (one.id, 1, None)
    assert rewritten.alive and rewritten.prompt and 2 <= len(rewritten.pictures) <= 4
    [call] = rewritten.calls
    assert (call.prompt, call.prompt_hash) == ("decompose/Causality", prompts["decompose/Causality"].hash)
    assert memory_store.get_call(call.id) is not None


def test_the_results_come_in_the_order_of_the_candidates(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    candidates = [fresh(name) for name in taxonomy.relation_types]
    rewritten = rewrite(stage(memory_store, prompts, taxonomy), *candidates)
    assert [c.id for c in rewritten] == [c.id for c in candidates]


def test_a_failed_candidate_goes_back_with_what_the_checks_asked_for(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    said = (
        verdict("fail", "lexical_leakage", feedback="Say it without words like poem."),
        verdict("fail", "structure", reason="no order is named"),
        verdict("pass", "integrity"),
        verdict("abstain", "quality", feedback="Never mind."),
    )
    before = fresh().model_copy(update={"round": 1, "prompt": "A prompt of picture 1.", "verdicts": said})
    client = Scripted(json.dumps(REPLY))
    [after] = rewrite(stage(memory_store, prompts, taxonomy, client), before)
    assert after.feedback == ("lexical_leakage: Say it without words like poem.", "structure: no order is named")
    assert after.feedback == before.failure_feedback
    assert (after.round, after.parent, after.verdicts) == (2, before.revision, ())
    asked = client.asked[0].messages[-1].content
    assert all(sentence in asked for sentence in after.feedback)
    assert before.prompt in asked, "the revisor sees what it wrote before"


def test_a_reply_that_stays_unusable_makes_a_dead_candidate_and_leaves_the_others(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    decompose = stage(memory_store, prompts, taxonomy, Scripted("no", "no", "no"))
    [dead] = rewrite(decompose, fresh())
    assert not dead.alive and dead.problem is not None and "stayed unusable after 3 calls" in dead.problem
    assert (dead.prompt, dead.pictures, len(dead.calls)) == ("", (), 3)


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Which ducks are in picture 1 and picture 2?"},
        {"pictures": [{"description": "A pond with ducks on it.", "keywords": ["pond"]}, REPLY["pictures"][1]]},
        {"pictures": [{"description": "A pond in a park.", "keywords": ["pond", "duck"]}, REPLY["pictures"][1]]},
    ],
)
def test_a_reply_that_hits_the_policy_is_kept_nowhere(
    store: Store, folder: Path, prompts: Prompts, taxonomy: Taxonomy, change: dict[str, Any]
) -> None:
    strict = taxonomy.model_copy(update={"policy": Policy(rules=(DUCKS,))})
    [excluded] = rewrite(stage(store, prompts, strict, Scripted(json.dumps(REPLY | change))), fresh())
    assert excluded.excluded is not None and excluded.excluded.rule == "no-ducks"
    assert (excluded.prompt, excluded.pictures, excluded.problem) == ("", (), None)
    assert [name for word in ("Which ducks", "pond") for name in kept_in(folder, word)] == []


# What its result depends on


def key_of(decompose: Decompose, *candidates: Candidate) -> str:
    return decompose.key(candidates or (fresh(),))


def test_the_key_changes_with_the_candidates_and_with_what_the_checks_said(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    decompose = stage(memory_store, prompts, taxonomy)
    judged = candidate(verdicts=(verdict("fail"),))
    keys = [
        key_of(decompose, fresh()),
        key_of(decompose, fresh(), fresh("Analogy")),
        key_of(decompose, fresh("Analogy"), fresh()),
        key_of(decompose, fresh(text="How can I peek at her maps?")),
        key_of(decompose, judged),
        key_of(decompose, candidate(verdicts=(verdict("fail", reason="otherwise"),))),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of(decompose, fresh()) == keys[0]
    passing = judged.model_copy(update={"verdicts": (*judged.verdicts, verdict("pass", "lexical_leakage"))})
    assert key_of(decompose, passing) == keys[4], "what passed asks for nothing"


def test_the_key_changes_with_the_model_the_policy_the_relation_and_the_category(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    relation = taxonomy.relation_type("Causality").model_copy(update={"necessity": "Another."})
    category = taxonomy.category("Privacy").model_copy(update={"definition": "Another."})
    changed = [
        taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, DUCKS))}),
        taxonomy.model_copy(update={"relation_types": {**taxonomy.relation_types, "Causality": relation}}),
        taxonomy.model_copy(update={"categories": {**taxonomy.categories, "Privacy": category}}),
    ]
    keys = [key_of(stage(memory_store, prompts, t)) for t in (taxonomy, *changed)]
    keys.append(key_of(stage(memory_store, prompts, taxonomy, model="grammar-2")))
    keys.append(key_of(stage(memory_store, prompts, taxonomy, sampling={"seed": 1})))
    assert len(set(keys)) == len(keys)


def test_a_changed_prompt_changes_the_keys_of_its_own_relation_type_only(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy, tmp_path: Path
) -> None:
    ours = (packaged("prompts") / "decompose/Causality.md").read_text(encoding="utf-8")
    (tmp_path / "prompts/decompose").mkdir(parents=True)
    (tmp_path / "prompts/decompose/Causality.md").write_text(ours + "\nTake your time.\n", encoding="utf-8")
    before, after = (stage(memory_store, p, taxonomy) for p in (prompts, load_prompts([tmp_path])))
    shards = {name: [fresh(name), fresh(name, "How can I peek at her maps?")] for name in taxonomy.relation_types}
    moved = {name for name, shard in shards.items() if before.key(shard) != after.key(shard)}
    assert moved == {"Causality"}
    mixed = [*shards["Analogy"], *shards["Causality"]]
    assert before.key(mixed) != after.key(mixed)


def test_a_changed_relation_type_or_category_leaves_the_shards_of_others_alone(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    relation = taxonomy.relation_type("Causality").model_copy(update={"necessity": "Another."})
    category = taxonomy.category("Violence").model_copy(update={"definition": "Another."})
    changed = taxonomy.model_copy(
        update={
            "relation_types": {**taxonomy.relation_types, "Causality": relation},
            "categories": {**taxonomy.categories, "Violence": category},
        }
    )
    shard = [fresh("Analogy"), fresh("Relevance")]
    assert stage(memory_store, prompts, taxonomy).key(shard) == stage(memory_store, prompts, changed).key(shard)


def test_where_the_same_key_is_asked_for_the_same_result_comes(
    store: Store, memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    shard = [fresh(name) for name in taxonomy.relation_types]
    here, there = stage(store, prompts, taxonomy), stage(memory_store, prompts, taxonomy)
    assert here.key(shard) == there.key(shard)
    assert rewrite(here, *shard) == rewrite(there, *shard)
