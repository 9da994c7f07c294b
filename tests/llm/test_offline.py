"""The offline model: deterministic, spread, true to the relation types, and careless just as often as it should be."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks.lexical_leakage import LexicalLeakage
from mirsb_build.checks.structure import Structure
from mirsb_build.config.reply_schemas import Decomposition, SeedList
from mirsb_build.config.taxonomy import Facet, RelationType, RiskCategory, load_taxonomy
from mirsb_build.llm.offline import FAULTS, NAMED_BY, OPENERS, WHENS, OfflineModel, decompose, write_seeds
from mirsb_build.ports import Finding
from mirsb_build.records import Candidate, Picture, Request, SeedQuery
from tests.factories import evidence, seed_query

TAXONOMY = load_taxonomy()
CATEGORIES = list(TAXONOMY.categories.values())
RELATIONS = list(TAXONOMY.relation_types.values())

categories = st.sampled_from(CATEGORIES)
relations = st.sampled_from(RELATIONS)


@st.composite
def seed_queries(draw: st.DrawFn) -> SeedQuery:
    """A seed query as the grammar writes it, of any category and facet."""
    category = draw(categories)
    facet = draw(st.sampled_from(category.facets))
    act = draw(st.sampled_from(facet.stand_in.acts))
    text = draw(st.sampled_from(OPENERS)).format(act=act, when=draw(st.sampled_from(WHENS)))
    return seed_query(text, category.name, facet.name)


def draft(seed: SeedQuery, relation: RelationType, round: int = 1, feedback: tuple[str, ...] = ()) -> Decomposition:
    category = TAXONOMY.category(seed.risk_category)
    return decompose(seed.text, category.facet(seed.facet), category, relation, round, feedback)


def judged(seed: SeedQuery, relation: RelationType, reply: Decomposition) -> dict[str, Finding]:
    """What the two checks of words say of a draft."""
    candidate = Candidate(
        seed_query=seed,
        relation_type=relation.name,
        prompt=reply.prompt,
        pictures=tuple(Picture(description=p.description, keywords=tuple(p.keywords)) for p in reply.pictures),
    )
    around = evidence(relation.name, taxonomy=TAXONOMY)
    checks = (Structure(Structure.Options(), TAXONOMY), LexicalLeakage(LexicalLeakage.Options(), TAXONOMY))
    return {check.name: check.judge(candidate, around) for check in checks}


def failures(seed: SeedQuery, relation: RelationType, reply: Decomposition) -> set[str]:
    return {name for name, verdict in judged(seed, relation, reply).items() if verdict.outcome == "fail"}


def feedback_of(seed: SeedQuery, relation: RelationType, reply: Decomposition) -> tuple[str, ...]:
    return tuple(f"{n}: {f.feedback}" for n, f in judged(seed, relation, reply).items() if f.outcome == "fail")


# Seeds


@settings(max_examples=25)
@given(category=categories, count=st.integers(1, 60))
def test_seeds_are_unique_and_spread_evenly_over_the_facets(category: RiskCategory, count: int) -> None:
    seeds = write_seeds(category, count, ())
    assert len({seed.text for seed in seeds}) == count
    per_facet = [sum(seed.facet == facet.name for seed in seeds) for facet in category.facets]
    assert sum(per_facet) == count, "every seed belongs to a facet of its category"
    assert max(per_facet) - min(per_facet) <= 1


@settings(max_examples=25)
@given(category=categories, sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_seeds_asked_for_in_several_calls_are_those_asked_for_in_one(category: RiskCategory, sizes: list[int]) -> None:
    bit_by_bit: list[str] = []
    for size in sizes:
        bit_by_bit += [seed.text for seed in write_seeds(category, size, bit_by_bit)]
    assert bit_by_bit == [seed.text for seed in write_seeds(category, sum(sizes), ())]


@given(category=categories, avoid=st.sets(st.integers(0, 40), max_size=10))
def test_no_seed_is_written_that_is_there_already(category: RiskCategory, avoid: set[int]) -> None:
    all_seeds = [seed.text for seed in write_seeds(category, 60, ())]
    known = [all_seeds[n] for n in avoid]
    assert not {seed.text for seed in write_seeds(category, 20, known)} & set(known)


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_the_grammar_has_seeds_for_a_build_of_the_published_size_and_ends(
    category: RiskCategory,
) -> None:
    seeds = [seed.text for seed in write_seeds(category, 10_000, ())]
    assert len(set(seeds)) == len(seeds) >= 100
    assert write_seeds(category, 1, seeds) == []


def test_neighbouring_seeds_differ_in_more_than_their_wording() -> None:
    for category in CATEGORIES:
        acts = [act for facet in category.facets for act in facet.stand_in.acts]
        seeds = write_seeds(category, len(acts), ())
        used = [next(act for act in acts if act in seed.text) for seed in seeds]
        assert len(set(used)) == len(used), "every act is used before one is used again"


# Drafts


@settings(max_examples=200)
@given(seed=seed_queries(), relation=relations, round=st.integers(1, 5))
def test_a_draft_that_is_not_careless_has_the_structure_of_its_relation_and_tells_little(
    seed: SeedQuery, relation: RelationType, round: int
) -> None:
    """Rounds after the last fault: by then every draft but the incurable is clean."""
    clean = draft(seed, relation, round=round + 10)
    assert failures(seed, relation, clean) == set()
    assert relation.min_pictures <= len(clean.pictures) <= relation.max_pictures


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda relation: relation.name)
def test_every_sketch_and_prompt_of_a_relation_type_is_used(relation: RelationType) -> None:
    beginnings = {text.split("{")[0] for sketch in relation.sketches for text in sketch.prompts}
    used: set[str] = set()
    for category in CATEGORIES:
        for written in write_seeds(category, 40, ()):
            seed = seed_query(written.text, category.name, written.facet)
            prompt = draft(seed, relation, round=11).prompt
            used |= {beginning for beginning in beginnings if prompt.startswith(beginning)}
    assert used == beginnings


@settings(max_examples=150)
@given(seed=seed_queries(), relation=relations)
def test_a_careless_draft_fails_the_check_that_names_its_fault_and_is_mended_when_told(
    seed: SeedQuery, relation: RelationType
) -> None:
    feedback: tuple[str, ...] = ()
    history: list[set[str]] = []
    for round in range(1, 8):
        reply = draft(seed, relation, round, feedback)
        failed = failures(seed, relation, reply)
        history.append(failed)
        if not failed:
            break
        feedback = feedback_of(seed, relation, reply)
    expected = [[{NAMED_BY[fault]} for fault in faults] + [set()] for _, faults in FAULTS]
    assert history in expected


@settings(max_examples=100)
@given(seed=seed_queries(), relation=relations)
def test_a_fault_that_no_check_names_stays(seed: SeedQuery, relation: RelationType) -> None:
    first = failures(seed, relation, draft(seed, relation))
    assert failures(seed, relation, draft(seed, relation, 2, ("quality: Make it nicer.",))) == first


def test_about_as_many_first_drafts_fail_as_the_demo_needs_to_show_rounds() -> None:
    drafts = [
        failures(s, relation, draft(s, relation))
        for category in CATEGORIES
        for written in write_seeds(category, 20, ())
        for relation in RELATIONS
        if (s := seed_query(written.text, category.name, written.facet))
    ]
    clean = sum(not failed for failed in drafts) / len(drafts)
    assert abs(clean - FAULTS[0][0]) < 0.05


def test_a_seed_of_no_known_facet_gets_a_draft_too() -> None:
    category = TAXONOMY.category("Privacy")
    reply = decompose("How can I look over her shoulder?", None, category, RELATIONS[0], 11, ())
    assert len(reply.pictures) >= 2


# Determinism


def all_drafts(order: list[tuple[SeedQuery, RelationType]]) -> dict[tuple[str, str], str]:
    return {(seed.id, relation.name): draft(seed, relation).model_dump_json() for seed, relation in order}


def test_neither_the_order_nor_the_number_of_calls_matters() -> None:
    seeds = [seed_query(s.text, c.name, s.facet) for c in CATEGORIES for s in write_seeds(c, 3, ())]
    pairs = [(seed, relation) for seed in seeds for relation in RELATIONS]
    shuffled = random.Random(7).sample(pairs, len(pairs))
    assert all_drafts(pairs) == all_drafts(shuffled) == all_drafts(pairs + shuffled)


def test_another_process_writes_the_same() -> None:
    script = """
from mirsb_build.llm.offline import decompose, write_seeds
from mirsb_build.config.taxonomy import load_taxonomy
taxonomy = load_taxonomy()
category = taxonomy.category("Privacy")
print([seed.text for seed in write_seeds(category, 5, ())])
relation = taxonomy.relation_type("Analogy")
print(decompose("How can I peek?", category.facets[0], category, relation, 1, ()).model_dump_json())
"""
    command = [sys.executable, "-c", script]
    told = subprocess.run(command, env={"PYTHONHASHSEED": "5"}, capture_output=True, text=True, check=True).stdout
    category = TAXONOMY.category("Privacy")
    reply = decompose("How can I peek?", category.facets[0], category, TAXONOMY.relation_type("Analogy"), 1, ())
    assert told.splitlines() == [str([seed.text for seed in write_seeds(category, 5, ())]), reply.model_dump_json()]


def test_it_answers_requests_in_the_schemas_of_the_paid_models() -> None:
    category = TAXONOMY.category("Privacy")
    model = OfflineModel()

    def ask(role: str, **variables: object) -> str:
        request = Request(
            role=role, model="m", prompt="p", prompt_hash="h", messages=(), reply_schema={}, variables=variables
        )
        reply = asyncio.run(model.complete(request))
        assert reply.usage.completion_tokens == len(reply.text.split())
        return reply.text

    written = SeedList.model_validate_json(ask("seed_writer", category=category, count=2, avoid=[], policy=()))
    assert len(written.seeds) == 2
    facet: Facet = category.facets[0]
    asked = {"seed_query": written.seeds[0].text, "facet": facet, "category": category, "round": 1, "feedback": ()}
    assert Decomposition.model_validate_json(ask("revisor", relation_type=RELATIONS[0], previous=None, **asked))


def test_drafts_of_different_seeds_rarely_show_the_same() -> None:
    seeds = [seed_query(s.text, "Privacy", s.facet) for s in write_seeds(TAXONOMY.category("Privacy"), 60, ())]
    relation = TAXONOMY.relation_type("Decomposition")
    shown = {tuple(p.description for p in draft(seed, relation, 11).pictures) for seed in seeds}
    assert len(shown) > 0.9 * len(seeds)
