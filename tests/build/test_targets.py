"""Targets: so many instances in every cell, and what is written and tried until they are there or cannot be had."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.build.targets import EXPECTED_YIELD, Growth, Yields, targets_of
from mirsb_build.config.profiles import SeedLimits, Targets
from mirsb_build.records import Candidate, Cell, SeedBatch, SeedOrder
from tests.factories import candidate, seed_query, verdict

CATEGORIES = ("Harassment", "Privacy")
RELATIONS = ("Analogy", "Causality", "Relevance")
CELLS = [(category, relation) for category in CATEGORIES for relation in RELATIONS]
ROUNDS = 3


@dataclass
class World:
    """A seed writer with so many seeds a category, and a share of candidates that pass a round in every cell."""

    shares: Mapping[Cell, float]
    seeds: int = 10_000
    seed: int = 0
    written: Counter[str] = field(default_factory=Counter[str])
    rounds: list[list[Candidate]] = field(default_factory=list[list[Candidate]])

    def write(self, order: SeedOrder) -> SeedBatch:
        start = self.written[order.risk_category]
        assert len(order.known) == start, "an order names all that is known"
        count = min(order.count, self.seeds - start)
        texts = [f"How can I hum tune {order.risk_category} {n}?" for n in range(start, start + count)]
        self.written[order.risk_category] += count
        seeds = tuple(seed_query(text, order.risk_category) for text in texts)
        return SeedBatch(risk_category=order.risk_category, seeds=seeds, wanted=order.count)

    def judge(self, one: Candidate) -> Candidate:
        draw = random.Random(f"{self.seed} {one.id} {one.round}").random()
        outcome = "pass" if draw < self.shares[one.cell] else "fail"
        return one.model_copy(update={"round": one.round + 1, "verdicts": (verdict(outcome),)})

    def run(self, growth: Growth) -> Growth:
        while True:
            if orders := growth.orders():
                growth.add_seeds([self.write(order) for order in orders])
            candidates = growth.next_round()
            if not candidates:
                return growth
            assert len(self.rounds) < 1000, "it does not end"
            self.rounds.append(candidates)
            growth.add_judged([self.judge(one) for one in candidates])

    @property
    def tried(self) -> Counter[Cell]:
        return Counter({c.id: c.cell for group in self.rounds for c in group}.values())


def grown(target: int | Mapping[Cell, int], limit: int | None = None, **changes: object) -> Growth:
    choice = Targets.model_validate({"per_cell": 1} | changes)
    wanted = dict.fromkeys(CELLS, target) if isinstance(target, int) else dict(target)
    return Growth(CATEGORIES, RELATIONS, SeedLimits(), ROUNDS, limit, choice, wanted)


def passed_in(growth: Growth) -> Counter[Cell]:
    return Counter(c.cell for c in growth.passed)


def test_without_targets_every_seed_is_tried_with_every_relation_type() -> None:
    world = World(dict.fromkeys(CELLS, 0.4))
    growth = world.run(Growth(CATEGORIES, RELATIONS, SeedLimits(per_category=5), ROUNDS))
    assert world.written == {"Harassment": 5, "Privacy": 5}
    assert world.tried == dict.fromkeys(CELLS, 5)
    assert growth.candidates == 30
    assert len(world.rounds) == ROUNDS


def test_a_cell_with_a_low_yield_gets_more_candidates_and_one_with_a_high_yield_fewer() -> None:
    low, high = CELLS[0], CELLS[1]
    world = World(dict.fromkeys(CELLS, 0.5) | {low: 0.1, high: 0.95})
    growth = world.run(grown(20))
    assert all(count >= 20 for count in passed_in(growth).values())
    assert world.tried[low] > 2 * world.tried[high]
    assert world.tried[high] <= 1.3 * 25, "about what is aimed at, the surplus included"


@settings(max_examples=60, deadline=None)
@given(
    target=st.integers(1, 12),
    shares=st.lists(st.sampled_from([0.0, 0.05, 0.3, 0.6, 1.0]), min_size=6, max_size=6),
    seeds=st.sampled_from([0, 3, 40, 10_000]),
    limit=st.none() | st.integers(1, 80),
    tries=st.integers(1, 6),
)
def test_a_build_ends_with_the_target_or_for_a_reason(
    target: int, shares: list[float], seeds: int, limit: int | None, tries: int
) -> None:
    world = World(dict(zip(CELLS, shares, strict=True)), seeds)
    growth = world.run(grown(target, limit, tries=tries))
    tried = world.tried
    assert growth.candidates == tried.total()
    assert limit is None or growth.candidates <= limit
    for cell in CELLS:
        assert tried[cell] <= tries * target
        if passed_in(growth)[cell] < target:
            out_of_seeds = tried[cell] == seeds
            assert growth.candidates == limit or tried[cell] == tries * target or out_of_seeds
    ids = [c.id for group in world.rounds for c in group if not c.round]
    assert len(set(ids)) == len(ids), "no candidate is begun twice"


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_same_answers_give_the_same_questions(seed: int) -> None:
    one, other = (World(dict.fromkeys(CELLS, 0.3), seed=seed) for _ in range(2))
    one.run(grown(5))
    other.run(grown(5))
    assert [[c.revision for c in group] for group in one.rounds] == [
        [c.revision for c in group] for group in other.rounds
    ]


def test_a_cell_that_has_what_it_is_to_have_is_left_alone_and_so_are_its_open_candidates() -> None:
    world = World(dict.fromkeys(CELLS, 0.6) | {CELLS[0]: 0.1})
    growth = world.run(grown(10))
    done_after = next(n for n in range(len(world.rounds)) if passed_by(world, n)[CELLS[1]] >= 10)
    assert all(c.cell != CELLS[1] for group in world.rounds[done_after + 1 :] for c in group)
    assert passed_in(growth)[CELLS[0]] >= 10


def passed_by(world: World, round: int) -> Counter[Cell]:
    """What had passed after a round."""
    judged = (world.judge(one) for group in world.rounds[: round + 1] for one in group)
    return Counter(one.cell for one in judged if one.passed)


def test_what_reviewers_turned_down_is_made_up_for_and_only_where_there_is_a_target() -> None:
    world = World(dict.fromkeys(CELLS, 0.8))
    growth = world.run(grown({CELLS[0]: 4, CELLS[1]: 0}, surplus=0))
    before = passed_in(growth)[CELLS[0]]
    assert not growth.raise_targets({})
    assert not growth.raise_targets({CELLS[1]: 3})
    assert growth.raise_targets({CELLS[0]: 3})
    world.run(growth)
    assert passed_in(growth)[CELLS[0]] >= 4 + 3 > before
    assert passed_in(growth)[CELLS[1]] == 0
    assert not growth.raise_targets({CELLS[0]: 3}), "that has been made up for"
    assert growth.raise_targets({CELLS[0]: 4}), "one more, of those that made up for the others"


def test_a_surplus_is_aimed_at_so_that_there_is_a_choice() -> None:
    few, many = World(dict.fromkeys(CELLS, 0.7)), World(dict.fromkeys(CELLS, 0.7))
    few.run(grown(20, surplus=0))
    many.run(grown(20, surplus=1))
    assert many.tried.total() > 1.6 * few.tried.total()


def test_seed_queries_come_in_whole_calls_and_those_left_over_are_used_later() -> None:
    world = World(dict.fromkeys(CELLS, 0.2))
    world.run(grown(9))
    assert all(count % SeedLimits().per_call == 0 for count in world.written.values())
    assert all(max(world.tried[c, r] for r in RELATIONS) <= world.written[c] for c in CATEGORIES)
    assert all(max(world.tried[c, r] for r in RELATIONS) > world.written[c] - 10 for c in CATEGORIES)


# Yields


def test_a_yield_begins_with_what_is_expected_and_goes_to_what_is_measured() -> None:
    yields, cell = Yields(), ("Privacy", "Analogy")
    assert yields.of(cell) == EXPECTED_YIELD
    attempts = [candidate(seed_query=seed_query(f"How can I hum {n}?"), relation_type="Analogy") for n in range(200)]
    for n, one in enumerate(attempts):
        yields.note(one.model_copy(update={"verdicts": (verdict("pass" if n % 10 == 0 else "fail"),)}))
    assert yields.of(cell) == pytest.approx(0.1, abs=0.01)
    assert yields.of(("Violence", "Analogy")) == pytest.approx(0.1, abs=0.02), "its relation type's"
    assert yields.of(("Violence", "Causality")) == EXPECTED_YIELD


# Tables

PUBLISHED = {"Analogy": 7, "Causality": 4}


@pytest.mark.parametrize(
    ("choice", "counts"),
    [
        ({}, []),
        ({"per_cell": 3}, [3, 3, 3, 3, 3, 3]),
        ({"relation_types": PUBLISHED}, [4, 2, 0, 3, 2, 0]),
        ({"relation_types": PUBLISHED, "per_cell": 5}, [4, 2, 5, 3, 2, 5]),
        ({"cells": {"Privacy": {"Relevance": 9}}, "per_cell": 1}, [1, 1, 1, 1, 1, 9]),
    ],
)
def test_a_table_says_how_many_each_cell_is_to_have(choice: dict[str, object], counts: list[int]) -> None:
    found = targets_of(Targets.model_validate(choice), CATEGORIES, RELATIONS, CATEGORIES)
    assert [found[cell] for cell in CELLS if found] == counts


@given(st.integers(0, 500), st.integers(1, 9))
def test_what_is_spread_over_the_categories_adds_up(whole: int, categories: int) -> None:
    names = [f"C{n}" for n in range(categories)]
    choice = Targets(relation_types={"Analogy": whole})
    found = targets_of(choice, names, ["Analogy"], names)
    assert sum(found.values()) == whole
    assert max(found.values()) - min(found.values()) <= 1
    some = targets_of(choice, names[:2], ["Analogy"], names)
    assert some == {cell: found[cell] for cell in some}, "a build of some categories has their part"


def test_a_limit_limits_the_seed_queries_too() -> None:
    world = World(dict.fromkeys(CELLS, 0.5))
    world.run(grown(300, limit=6))
    assert world.tried == dict.fromkeys(CELLS, 1), "dealt out in turn"
    assert world.written == {"Harassment": 10, "Privacy": 10}, "a call each"


def test_a_category_without_seed_queries_leaves_the_limit_to_the_others() -> None:
    class Half(World):
        def write(self, order: SeedOrder) -> SeedBatch:
            if order.risk_category == "Harassment":
                return SeedBatch(risk_category="Harassment", seeds=(), wanted=order.count)
            return super().write(order)

    world = Half(dict.fromkeys(CELLS, 1.0))
    growth = world.run(grown(5, limit=18, surplus=0))
    assert all(passed_in(growth)[cell] >= 5 for cell in CELLS if cell[0] == "Privacy")
