"""Duplicates: images alike within a candidate, and candidates that show only what an earlier one shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.checks.duplicates import Duplicates
from mirsb_build.ports import Evidence
from mirsb_build.records import Candidate, Verdict
from mirsb_build.taxonomy import RelationType, Taxonomy
from tests.factories import candidate, illustrated, image, peers, picture, seed_query

A, B, C, D = 0x0000000000000000, 0xFFFFFFFF00000000, 0x00000000FFFFFFFF, 0xFFFFFFFFFFFFFFFF  # 32 or 64 bits apart
hashes = st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([A, B, C, D, A + 1, B + 3]), min_size=2, max_size=4)


def near(hash: int, bits: int) -> int:
    """A hash that many bits away."""
    return hash ^ ((1 << bits) - 1)


def of(text: str, *perceptual_hashes: int) -> Candidate:
    """A candidate of another seed query."""
    return illustrated(*perceptual_hashes, seed_query=seed_query(f"How can I {text}?"))


def judge(one: Candidate, *others: Candidate, distance: int = 8) -> Verdict:
    check = Duplicates(Duplicates.Options(distance=distance), Taxonomy.model_construct())
    return check.judge(one, Evidence(relation_type=RelationType.model_construct(), peers=peers(*others)))


# Within a candidate


def test_images_that_are_far_apart_pass_with_their_smallest_distance() -> None:
    verdict = judge(illustrated(A, B, D))
    assert (verdict.outcome, verdict.score, verdict.threshold) == ("pass", 32.0, 8.0)


@pytest.mark.parametrize(("bits", "outcome"), [(0, "fail"), (1, "fail"), (8, "fail"), (9, "pass"), (20, "pass")])
def test_two_images_up_to_the_distance_apart_fail(bits: int, outcome: str) -> None:
    verdict = judge(illustrated(A, B, near(A, bits)))
    assert (verdict.outcome, verdict.score) == (outcome, float(bits))
    if outcome == "fail":
        assert verdict.reason == f"pictures 1 and 3 are {bits} of 64 bits apart"
        assert verdict.feedback == "Give pictures 1 and 3 clearly different contents."


def test_the_same_bytes_are_the_same_image_whatever_their_hash_says() -> None:
    twice = tuple(picture(f"Thing {n}.", image=image(h, id="f" * 64)) for n, h in enumerate((A, D), 1))
    assert judge(candidate(pictures=twice)).score == 0


def test_a_candidate_without_images_has_no_duplicates() -> None:
    assert judge(candidate()).outcome == "pass"
    assert judge(illustrated(A), of("whistle", B)).outcome == "pass"


@given(hashes, st.randoms())
def test_the_order_of_the_images_is_irrelevant(wanted: list[int], random: object) -> None:
    shuffled = list(wanted)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    others = [of("whistle", A, B), of("hum", C, D)]
    one, same = judge(illustrated(*wanted), *others), judge(illustrated(*shuffled), *others)
    assert (one.outcome, one.score) == (same.outcome, same.score)


# Against earlier candidates


def test_a_candidate_that_shows_nothing_new_fails_and_names_the_earlier_one() -> None:
    earlier, one = of("whistle", A, B, C), of("hum", near(B, 3), near(A, 8))
    verdict = judge(one, earlier, one)
    assert verdict.outcome == "fail"
    assert verdict.reason == f"every image repeats one of candidate {earlier.id}"
    assert verdict.feedback


def test_one_new_image_is_enough() -> None:
    assert judge(of("hum", A, D), of("whistle", A, B, C)).outcome == "pass"


def test_images_shared_with_several_candidates_are_no_repetition() -> None:
    assert judge(of("hum", A, D), of("whistle", A, B), of("yodel", C, D)).outcome == "pass"


def test_of_two_that_show_the_same_the_earlier_one_stays() -> None:
    first, second = of("whistle", A, B), of("hum", A, B)
    assert judge(first, first, second).outcome == "pass"
    assert judge(second, first, second).outcome == "fail"


@given(hashes)
def test_a_candidate_is_never_a_duplicate_of_itself(wanted: list[int]) -> None:
    one = illustrated(*wanted)
    before = one.model_copy(update={"round": 0})
    assert judge(one, one).reason == judge(one, before, one).reason == judge(one).reason


@given(st.lists(hashes, min_size=1, max_size=5), st.integers(0, 4))
def test_what_comes_later_does_not_change_a_verdict(groups: list[list[int]], place: int) -> None:
    everyone = [of(f"hum number {n}", *group) for n, group in enumerate(groups)]
    place = min(place, len(everyone) - 1)
    assert judge(everyone[place], *everyone) == judge(everyone[place], *everyone[: place + 1])


@given(st.lists(hashes, min_size=1, max_size=5), st.integers(0, 16))
def test_it_agrees_with_comparing_every_image_with_every_other(groups: list[list[int]], distance: int) -> None:
    *earlier, one = [of(f"hum number {n}", *group) for n, group in enumerate(groups)]

    def alike(a: int, b: int) -> bool:
        return (a ^ b).bit_count() <= distance

    def of_images(c: Candidate) -> list[int]:
        return [int(p.image.perceptual_hash, 16) for p in c.pictures if p.image]

    mine = of_images(one)
    within = any(alike(a, b) for n, a in enumerate(mine) for b in mine[:n])
    against = any(all(any(alike(a, b) for b in of_images(other)) for a in mine) for other in earlier)
    assert (judge(one, *earlier, one, distance=distance).outcome == "fail") == (within or against)
