"""The comparison of a pass: of those that are the same the first is kept, and nothing is compared twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks import open_checks
from mirsb_build.config.taxonomy import Taxonomy, load_taxonomy
from mirsb_build.errors import CannotJudge
from mirsb_build.ports import ComparingCheck, Entry, Finding, Peer
from mirsb_build.records import Candidate, Exclusion, Verdict
from mirsb_build.stages.comparison import Compare
from mirsb_build.store import Store
from mirsb_build.store.verdicts import VerdictStore
from tests.factories import candidate, illustrated, picture, seed_query

OURS = load_taxonomy()
CHECKS: dict[str, dict[str, Any] | None] = {"structure": {}, "image_duplicates": {}, "lexical_duplicates": {}}


def showing(text: str, *looks: int, **changes: Any) -> Candidate:
    """A candidate of another seed query and other words, with an image a look."""
    one = illustrated(*looks, seed_query=seed_query(f"How can I {text}?"), **changes)
    pictures = [p.model_copy(update={"description": f"{text} {n} ({text})."}) for n, p in enumerate(one.pictures)]
    return one.model_copy(update={"pictures": tuple(pictures), "prompt": f"{text}, picture 1 and picture 2."})


def outcomes(candidates: Sequence[Candidate]) -> list[dict[str, str]]:
    return [{v.check: v.outcome for v in one.verdicts} for one in candidates]


class Counting(ComparingCheck):
    """A check that finds nothing and counts how often it compares."""

    name = "counting"
    version = "1"
    options: dict[str, Any] = {}

    def __init__(self, outcome: Any = "pass") -> None:
        self.compared: list[int] = []
        self.outcome = outcome

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [OURS.relation_type(candidate.relation_type)]

    def compare(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Finding]:
        self.compared.append(len(candidates))
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return [Finding(self.outcome, "so it is") for _ in candidates]


def test_each_living_candidate_gets_a_verdict_of_each_check_that_compares(taxonomy: Taxonomy) -> None:
    dead = candidate(problem="no reply", pictures=())
    excluded = candidate(excluded=Exclusion(rule="r", where="image", explanation="so"), pictures=(), prompt="")
    one = showing("hum", 1, 2)
    found = Compare(open_checks(CHECKS, taxonomy)).attach([dead, one, excluded], ())
    assert (found[0], found[2]) == (dead, excluded)
    assert outcomes(found)[1] == {"image_duplicates": "pass", "lexical_duplicates": "pass"}
    assert found[1].revision == one.revision


def test_of_those_that_are_the_same_released_ones_stand_first_then_earlier_rounds_then_the_pass(
    taxonomy: Taxonomy,
) -> None:
    checks = open_checks({"image_duplicates": {}}, taxonomy)
    old, before = showing("whistle", 1, 2), showing("yodel", 3, 4)
    ones = [showing("hum", 1, 2), showing("sing", 3, 4), showing("hop", 5, 6), showing("skip", 6, 5)]
    found = Compare(checks, [Peer(old, "mirsb-1/1")]).attach(ones, [before])
    image = [one.verdicts[0] for one in found]
    assert [v.outcome for v in image] == ["fail", "fail", "pass", "fail"]
    assert "of release mirsb-1/1" in image[0].reason
    assert before.id in image[1].reason
    assert ones[2].id in image[3].reason


passes = st.lists(st.lists(st.integers(0, 5), min_size=2, max_size=3), min_size=1, max_size=6)


@settings(max_examples=20)
@given(seeds=passes)
def test_a_comparison_that_is_read_back_is_the_one_that_was_made(memory_store: Store, seeds: list[list[int]]) -> None:
    ones = [showing(f"hum tune {n}", *looks) for n, looks in enumerate(seeds)]
    kept = VerdictStore(memory_store.files, "tiny")
    checks = open_checks(CHECKS, OURS)
    made = Compare(checks, (), kept).attach(ones, ())
    assert Compare(checks, (), kept).attach(ones, ()) == made == Compare(checks).attach(ones, ())


def attach(check: ComparingCheck, kept: VerdictStore, *ones: Candidate, beside: Sequence[Candidate] = ()) -> Verdict:
    """The last candidate's verdict."""
    return Compare([check], (), kept).attach(ones, beside)[-1].verdicts[-1]


def test_nothing_is_compared_twice_and_another_order_or_neighbour_is_another_comparison(memory_store: Store) -> None:
    kept, check = VerdictStore(memory_store.files, "tiny"), Counting()
    one, other, third = showing("hum", 1, 2), showing("sing", 3, 4), showing("hop", 5, 6)
    for _ in range(2):
        attach(check, kept, one, other)
    assert len(check.compared) == 1
    attach(check, kept, other, one)
    attach(check, kept, one, other, beside=[third])
    assert len(check.compared) == 3
    check.options = {"distance": 3}
    attach(check, kept, one, other)
    check.version = "2"
    attach(check, kept, one, other)
    assert len(check.compared) == 5


def test_a_check_that_cannot_compare_or_breaks_abstains_and_is_asked_again(memory_store: Store) -> None:
    kept, one = VerdictStore(memory_store.files, "tiny"), showing("hum", 1, 2)
    for error, reason in (
        (CannotJudge("needs a model"), "needs a model"),
        (ZeroDivisionError("oh"), "the check broke: ZeroDivisionError: oh"),
    ):
        found = attach(Counting(error), kept, one)
        assert (found.outcome, found.pending, found.reason) == ("abstain", True, reason)
    honest = attach(Counting("abstain"), kept, one)
    assert (honest.outcome, honest.pending) == ("abstain", False)
    assert attach(Counting(), kept, one).outcome == "pass"


def test_a_candidate_without_images_or_words_is_no_error(taxonomy: Taxonomy) -> None:
    bare = [candidate(prompt="", pictures=()), candidate(seed_query=seed_query("Hum?"), pictures=(picture(),))]
    assert outcomes(Compare(open_checks(CHECKS, taxonomy)).attach(bare, ())) == [
        {"image_duplicates": "abstain", "lexical_duplicates": "pass"},
        {"image_duplicates": "abstain", "lexical_duplicates": "pass"},
    ]
    assert Compare(open_checks(CHECKS, taxonomy)).attach([], bare) == []
