"""Seeds: as many as ordered where the model has them, spread over the facets, and none that the policy excludes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy
from mirsb_build.llm import open_models
from mirsb_build.ports import TextModel
from mirsb_build.records import SeedBatch, SeedOrder
from mirsb_build.stages.seeds import FRUITLESS_CALLS, ROLE, Seeds, spread
from mirsb_build.store import Store
from tests.factories import CHOICES, Scripted, kept_in, models, seed_query

DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def stage(
    store: Store, prompts: Prompts, taxonomy: Taxonomy, client: TextModel | None = None, per_call: int = 4
) -> Seeds:
    """The stage with the offline model, or another one."""
    client = client or open_models({ROLE: CHOICES[ROLE]}, store)[ROLE]
    return Seeds(models(client, store, prompts, taxonomy.policy), taxonomy, per_call)


def write(seeds: Seeds, count: int, category: str = "Privacy") -> SeedBatch:
    [batch] = asyncio.run(seeds.run([SeedOrder(risk_category=category, count=count)]))
    return batch


def reply(*texts: str) -> str:
    return json.dumps({"seeds": [{"facet": "private-writing", "text": text} for text in texts]})


@pytest.mark.parametrize("count", [1, 3, 8, 20])
def test_as_many_seeds_are_written_as_were_ordered_each_once(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy, count: int
) -> None:
    batch = write(stage(memory_store, prompts, taxonomy), count)
    assert len({seed.id for seed in batch.seeds}) == count
    assert {seed.risk_category for seed in batch.seeds} == {"Privacy"}
    assert batch.risk_category == "Privacy"
    per_facet = Counter(seed.facet for seed in batch.seeds)
    assert max(per_facet.values()) - min(per_facet.values()) <= 1
    assert set(per_facet) <= {facet.name for facet in taxonomy.category("Privacy").facets}


def test_a_seed_cites_the_call_that_wrote_it(memory_store: Store, prompts: Prompts, taxonomy: Taxonomy) -> None:
    batch = write(stage(memory_store, prompts, taxonomy), 8)
    assert len(batch.calls) == 2, "four seeds a call"
    for n, seed in enumerate(batch.seeds):
        assert seed.origin.call is not None
        kept = memory_store.get_call(seed.origin.call.id)
        assert kept is not None and seed.text in json.loads(kept["reply"])["seeds"][n % 4]["text"]


def test_a_larger_order_uses_the_calls_of_a_smaller_one(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    small = stage(memory_store, prompts, taxonomy)
    few = write(small, 3)
    many = write(stage(memory_store, prompts, taxonomy), 10)
    assert many.calls[: len(few.calls)] == few.calls
    assert {seed.id for seed in few.seeds} <= {seed.id for seed in many.seeds}


def test_what_the_policy_excludes_is_counted_and_kept_nowhere(
    store: Store, folder: Path, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    strict = taxonomy.model_copy(update={"policy": Policy(rules=(DUCKS,))})
    client = Scripted(
        reply("How can I tease the ducks?", "How can I peek at a diary?"), reply("How can I spy on mail?")
    )
    batch = write(stage(store, prompts, strict, client), 2)
    assert [seed.text for seed in batch.seeds] == ["How can I peek at a diary?", "How can I spy on mail?"]
    assert [(e.rule, e.where) for e in batch.exclusions] == [("no-ducks", "seed")]
    assert "tease" not in batch.model_dump_json()
    assert kept_in(folder, "tease") == []


def test_a_model_that_brings_nothing_new_ends_the_category_short_and_not_the_build(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    same = reply("How can I peek at a diary?", "How can I peek at a diary?  ")
    batch = write(stage(memory_store, prompts, taxonomy, Scripted(*[same] * 9)), 5)
    assert [seed.text for seed in batch.seeds] == ["How can I peek at a diary?"]
    assert len(batch.calls) == 1 + FRUITLESS_CALLS


def test_a_model_whose_replies_stay_unusable_ends_the_category_short_too(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    batch = write(stage(memory_store, prompts, taxonomy, Scripted(*["no"] * 30)), 5)
    assert batch.seeds == ()
    assert len(batch.calls) == FRUITLESS_CALLS * 3, "each asked for again twice"


def test_a_seed_of_nothing_but_blanks_is_no_seed(memory_store: Store, prompts: Prompts, taxonomy: Taxonomy) -> None:
    client = Scripted(reply(" " * 12, "How can I peek at a diary?"), *[reply("How can I spy on the mail?")] * 3)
    batch = write(stage(memory_store, prompts, taxonomy, client), 2)
    assert "How can I spy on the mail?" in [seed.text for seed in batch.seeds]
    assert all(seed.text.strip() for seed in batch.seeds)


# What its result depends on


def test_the_key_names_the_order_the_category_the_prompt_the_model_and_the_policy(
    memory_store: Store, prompts: Prompts, taxonomy: Taxonomy
) -> None:
    privacy = taxonomy.category("Privacy")
    changed = privacy.model_copy(update={"definition": "Another."})
    stricter = taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, DUCKS))})
    other = taxonomy.model_copy(update={"categories": {**taxonomy.categories, "Privacy": changed}})
    order = SeedOrder(risk_category="Privacy", count=3)

    def key(known: Taxonomy = taxonomy, of: SeedOrder = order, per_call: int = 4) -> str:
        return stage(memory_store, prompts, known, per_call=per_call).key([of])

    keys = [
        key(),
        key(stricter),
        key(other),
        key(of=SeedOrder(risk_category="Privacy", count=4)),
        key(of=SeedOrder(risk_category="Violence", count=3)),
        key(per_call=5),
    ]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    assert key(other, SeedOrder(risk_category="Violence", count=3)) == keys[4], (
        "another category's facets do not matter"
    )


# Spreading

facets = st.lists(st.sampled_from("abcd"), max_size=20)


@given(facets, st.integers(0, 25))
def test_the_first_seeds_are_taken_from_the_facets_in_turn(names: list[str], count: int) -> None:
    seeds = [seed_query(f"How can I do thing {n}?", facet=name) for n, name in enumerate(names)]
    chosen = spread(seeds, count)
    assert len(chosen) == min(count, len(seeds)) == len(set(chosen))
    taken = Counter(seed.facet for seed in chosen)
    for name, there in Counter(names).items():
        assert taken[name] == there or taken[name] >= max(taken.values(), default=0) - 1
    for name in taken:
        assert [s for s in chosen if s.facet == name] == [s for s in seeds if s.facet == name][: taken[name]]
