"""Selection: facets in turn, well judged and unlike one another first, and a place for everybody."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.errors import ModelError
from mirsb_build.records import Candidate
from mirsb_build.review.selection import Selection, judgements
from mirsb_build.similarity.embedder import PACKAGED
from tests.factories import call, candidate, picture, seed_query, verdict


def about(text: str, facet: str = "private-writing", score: float | None = None, **changes: str) -> Candidate:
    """A candidate that passed; with a score, one that a model judged so."""
    judged = () if score is None else (verdict(check="quality", score=score, calls=(call(),)),)
    return candidate(
        seed_query=seed_query(f"How can I {text}?", facet=facet),
        pictures=(picture(f"Somebody goes to {text}."), picture("A quiet room.")),
        verdicts=(verdict(), *judged),
        **changes,
    )


def order(selection: Selection, *candidates: Candidate) -> list[Candidate]:
    ranks = selection.ranks(candidates)
    return sorted(candidates, key=lambda c: ranks[c.id])


BY_WORDS = [
    about("read a flatmate's diary in the kitchen"),
    about("read a flatmate's diary in the kitchen today"),
    about("read a flatmate's diary in the kitchen again"),
    about("tune an old harpsichord with a fork"),
]


@pytest.mark.parametrize("embedder", [None, PACKAGED])
def test_what_is_unlike_the_others_is_taken_before_what_repeats_them(embedder: str | None) -> None:
    chosen = order(Selection(1.0, embedder), *BY_WORDS)
    assert BY_WORDS[3] in chosen[:2]


def test_without_diversity_the_best_judged_come_first_and_without_judgements_nothing_but_diversity_counts() -> None:
    judged = [about(f"hum tune number {n}", score=n / 10) for n in range(6)]
    assert order(Selection(0.0, None), *judged) == judged[::-1]
    ranks = Selection(0.5, None).ranks(BY_WORDS)
    assert ranks == Selection(1.0, None).ranks(BY_WORDS)


def test_facets_come_in_turn() -> None:
    many = [about(f"hum tune number {n}", facet="a") for n in range(6)]
    few = [about(f"whistle air number {n}", facet="b") for n in range(2)]
    chosen = order(Selection(0.5, None), *many, *few)
    assert Counter(c.seed_query.facet for c in chosen[:4]) == {"a": 2, "b": 2}


def test_every_cell_has_its_own_places() -> None:
    here = [about(f"hum tune number {n}") for n in range(3)]
    there = [about(f"hum tune number {n}", relation_type="Relevance") for n in range(2)]
    ranks = Selection(0.5, None).ranks([*here, *there])
    assert sorted(ranks[c.id] for c in here) == [1, 2, 3]
    assert sorted(ranks[c.id] for c in there) == [1, 2]


@settings(max_examples=40, deadline=None)
@given(
    facets=st.lists(st.sampled_from("abc"), min_size=1, max_size=9),
    diversity=st.floats(0, 1),
    seed=st.randoms(use_true_random=False),
)
def test_the_places_are_all_taken_once_and_do_not_depend_on_the_order(
    facets: list[str], diversity: float, seed: random.Random
) -> None:
    ones = [about(f"hum tune {n} {'la ' * n}", facet, score=n % 4) for n, facet in enumerate(facets)]
    ranks = Selection(diversity, None).ranks(ones)
    assert sorted(ranks.values()) == list(range(1, len(ones) + 1))
    shuffled = list(ones)
    seed.shuffle(shuffled)
    assert Selection(diversity, None).ranks(shuffled) == ranks
    first = sorted(ones, key=lambda c: ranks[c.id])[: len(set(facets))]
    assert {c.seed_query.facet for c in first} == set(facets), "every facet is there before one is there twice"


def test_a_judgement_is_a_place_among_the_others_whatever_the_scale_of_the_score() -> None:
    assert judgements([about("hum", score=s) for s in (1, 5, 3)]) == [0.0, 1.0, 0.5]
    assert judgements([about("hum", score=s) for s in (0.1, 0.5, 0.3)]) == [0.0, 1.0, 0.5]
    assert judgements([about("hum"), about("whistle")]) == [0.0, 0.0]


def test_the_identity_names_what_the_places_depend_on() -> None:
    kinds = [Selection(0.5, None), Selection(0.4, None), Selection(0.5, PACKAGED)]
    assert len({kind.identity for kind in kinds}) == 3


def test_an_embedder_that_is_not_there_is_named_at_once() -> None:
    with pytest.raises(ModelError, match="embedder 'nowhere' is not there"):
        Selection(0.5, "nowhere")
