"""Numbers of instances: counted in each cell, kept through all releases, never given twice."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.records import Instance
from mirsb_build.release.numbers import merge_numbers, number
from mirsb_build.releases import Manifest
from tests.factories import accepted, made_with, passed, seed_query

CELLS = [("Privacy", "Analogy"), ("Privacy", "Causality"), ("Self-Harm", "Analogy")]
cells = st.lists(st.sampled_from(CELLS), max_size=20)


def instance(n: int, category: str = "Privacy", relation: str = "Causality") -> Instance:
    return accepted(passed(seed_query=seed_query(f"How can I hum tune {n}?", category), relation_type=relation))


def manifest(numbers: dict[str, dict[str, int]]) -> Manifest:
    facts: dict[str, Any] = {"build": "demo", "version": "1", "instances": 0, "simulated_review": False}
    return Manifest(**facts, canary="", content="", made_with=made_with(), files={}, numbers=numbers)


def numbers_of(releases: Sequence[Sequence[Instance]]) -> list[dict[str, int]]:
    """What each of several releases, made one after the other, calls its instances."""
    earlier: list[Manifest] = []
    found: list[dict[str, int]] = []
    for instances in releases:
        rows = number(instances, merge_numbers(earlier))
        found.append({i.id: n for n, i in rows})
        earlier.append(manifest(merge_numbers(earlier, rows)))
    return found


@given(cells, st.randoms())
def test_ids_count_from_one_in_every_cell_whatever_the_order(of_cells: list[tuple[str, str]], random: Any) -> None:
    instances = [instance(n, *cell) for n, cell in enumerate(of_cells)]
    shuffled = list(instances)
    random.shuffle(shuffled)
    rows = number(instances, {})
    assert number(shuffled, {}) == rows
    assert sorted(i.id for _, i in rows) == sorted(i.id for i in instances)
    for cell, count in Counter(of_cells).items():
        assert [n for n, i in rows if i.candidate.cell == cell] == list(range(1, count + 1))


def test_a_release_of_eight_after_one_of_five_keeps_the_five_numbers() -> None:
    eight = [instance(n) for n in range(8)]
    first, second = numbers_of([eight[3:], eight])
    assert {id: second[id] for id in first} == first
    assert sorted(second.values()) == list(range(1, 9))


def test_the_number_of_an_instance_that_is_gone_stays_a_gap_and_comes_back_with_it() -> None:
    three = [instance(n) for n in range(3)]
    first, second, third = numbers_of([three, three[1:], [*three, instance(9)]])
    assert three[0].id not in second
    assert third == first | {instance(9).id: 4}


@given(st.lists(st.sets(st.integers(0, 12)), min_size=1, max_size=6), st.integers(0, 99))
def test_a_number_belongs_to_one_instance_for_ever(chosen: list[set[int]], seed: int) -> None:
    shuffle = random.Random(seed)
    releases = [[instance(n) for n in shuffle.sample(sorted(of), len(of))] for of in chosen]
    owner: dict[int, str] = {}
    for numbers in numbers_of(releases):
        assert len(set(numbers.values())) == len(numbers)
        for id, given_number in numbers.items():
            assert owner.setdefault(given_number, id) == id
