"""Crossing: every seed query with every relation type, and a limit that is fair to the cells."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.records import SeedQuery
from mirsb_build.records.crossing import cross
from tests.factories import seed_query

CATEGORIES = ("Harassment", "Privacy", "Violence")
RELATIONS = ("Analogy", "Causality", "Relevance", "Temporal_Jump")

seed_lists = st.lists(st.sampled_from(CATEGORIES), max_size=12).map(
    lambda names: [seed_query(f"How can I hum tune {n}?", name) for n, name in enumerate(names)]
)
relations = st.lists(st.sampled_from(RELATIONS), min_size=1, unique=True)


@given(seed_lists, relations)
def test_every_seed_query_meets_every_relation_type_once(seeds: list[SeedQuery], relation_types: list[str]) -> None:
    candidates = cross(seeds, CATEGORIES, relation_types, None)
    pairs = [(c.seed_query.id, c.relation_type) for c in candidates]
    assert sorted(pairs) == sorted((s.id, r) for s in seeds for r in relation_types)
    assert all((c.round, c.prompt, c.verdicts) == (0, "", ()) for c in candidates)
    assert len({c.id for c in candidates}) == len(candidates)


@given(seed_lists, relations, st.integers(1, 60))
def test_a_limit_takes_the_same_from_every_cell_as_far_as_it_goes(
    seeds: list[SeedQuery], relation_types: list[str], limit: int
) -> None:
    everything = Counter(c.cell for c in cross(seeds, CATEGORIES, relation_types, None))
    limited = cross(seeds, CATEGORIES, relation_types, limit)
    assert len(limited) == min(limit, everything.total())
    taken = Counter(c.cell for c in limited)
    for cell, there in everything.items():
        assert taken[cell] == there or taken[cell] >= max(taken.values()) - 1


@given(seed_lists, relations, st.integers(1, 30), st.integers(1, 30))
def test_a_larger_limit_keeps_what_a_smaller_one_took(
    seeds: list[SeedQuery], relation_types: list[str], few: int, more: int
) -> None:
    small = {c.id for c in cross(seeds, CATEGORIES, relation_types, few)}
    large = {c.id for c in cross(seeds, CATEGORIES, relation_types, few + more)}
    assert small <= large
