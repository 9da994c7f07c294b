"""Image duplicates: images alike within a candidate, and candidates that show only what a kept one shows."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageEnhance

from mirsb_build.checks.image_duplicates import ImageDuplicates
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.ports import Finding, Peer
from mirsb_build.records import Candidate, Image
from mirsb_build.similarity.hamming import near_pairs
from mirsb_build.similarity.image_hashes import read_views, view_hashes
from tests.factories import candidate, compared, illustrated, image, look, noise, picture, seed_query, verdict

TAXONOMY = load_taxonomy()
A, B, C, D = 101, 202, 303, 404
looks = st.lists(st.integers(0, 7) | st.sampled_from([A, B, C, D]), min_size=2, max_size=4, unique=True)
groups = st.lists(looks, min_size=1, max_size=6)


def showing(text: str, *images: Image, **changes: object) -> Candidate:
    """A candidate of another seed query with these images."""
    pictures = tuple(picture(f"Thing {n}.", f"thing{n}", image=one) for n, one in enumerate(images, 1))
    return candidate(**{"seed_query": seed_query(f"How can I {text}?"), "pictures": pictures, **changes})


def near(seed: int, bits: int) -> Image:
    """Another image, so many bits from the one of the seed."""
    return image(seed, id=f"{seed + bits:064x}", view_hashes=look(seed, bits))


def of(text: str, *seeds: int) -> Candidate:
    return showing(text, *(image(seed) for seed in seeds))


def check(distance: int = 40, copy_distance: int = 8) -> ImageDuplicates:
    return ImageDuplicates(ImageDuplicates.Options(distance=distance, copy_distance=copy_distance), TAXONOMY)


def judge(one: Candidate, *others: Candidate, released: tuple[Peer, ...] = (), distance: int = 40) -> Finding:
    return compared(check(distance), one, *others, released=released)


# Within a candidate


@pytest.mark.parametrize(("bits", "outcome"), [(0, "fail"), (1, "fail"), (40, "fail"), (41, "pass"), (60, "pass")])
def test_two_images_up_to_the_distance_apart_fail(bits: int, outcome: str) -> None:
    verdict = judge(showing("hum", image(A), image(B), near(A, bits)))
    assert (verdict.outcome, verdict.score, verdict.threshold) == (outcome, float(bits), 40.0)
    if outcome == "fail":
        assert verdict.reason == f"pictures 1 and 3 are {bits} of 256 bits apart"
        assert verdict.feedback == "Give pictures 1 and 3 clearly different contents."


@pytest.mark.parametrize(("bits", "outcome"), [(0, "fail"), (8, "fail"), (9, "pass"), (40, "pass")])
def test_pieces_of_one_whole_may_be_alike_but_no_copies(bits: int, outcome: str) -> None:
    verdict = judge(showing("hum", image(A), near(A, bits), relation_type="Complementarity"))
    assert (verdict.outcome, verdict.score, verdict.threshold) == (outcome, float(bits), 8.0)


def test_the_relation_types_whose_pictures_are_of_one_scene_may_have_them_alike() -> None:
    alike = {name for name, one in TAXONOMY.relation_types.items() if one.rules.alike}
    assert alike == {name for name, one in TAXONOMY.relation_types.items() if "scene" in one.shares}


def test_the_same_bytes_are_the_same_image_whatever_their_hashes_say() -> None:
    twice = [image(seed, id="f" * 64) for seed in (A, D)]
    assert judge(showing("hum", *twice)).score == 0


def test_a_candidate_without_images_has_nothing_to_be_compared() -> None:
    verdict = judge(candidate(), of("whistle", A))
    assert (verdict.outcome, verdict.reason) == ("abstain", "there is no image to compare")


def test_a_single_image_is_compared_with_other_candidates_only() -> None:
    assert judge(of("hum", A), of("whistle", B)).outcome == "pass"
    assert judge(of("hum", A), of("whistle", A)).outcome == "fail"


def test_pictures_are_named_by_their_numbers_also_where_one_has_no_image() -> None:
    one = of("How can I hum?", 1, 1)
    first, *rest = one.pictures
    gap = one.model_copy(update={"pictures": (first.model_copy(update={"image": None}), first, *rest)})
    assert judge(gap).feedback == "Give pictures 2 and 3 clearly different contents."


def test_images_of_old_records_without_hashes_are_known_by_their_bytes() -> None:
    old = [image(seed, view_hashes="") for seed in (A, B)]
    assert judge(showing("hum", *old)).outcome == "pass"
    assert judge(showing("hum", *old), showing("whistle", *old)).outcome == "fail"
    assert judge(showing("hum", *old), of("whistle", A, B)).outcome == "pass"


@given(looks, st.randoms())
def test_the_order_of_the_images_is_irrelevant(wanted: list[int], chance: random.Random) -> None:
    shuffled = list(wanted)
    chance.shuffle(shuffled)
    others = [of("whistle", A, B), of("hum", C, D)]
    one, same = judge(of("yodel", *wanted), *others), judge(of("yodel", *shuffled), *others)
    assert (one.outcome, one.score) == (same.outcome, same.score)


# Against other candidates


def test_a_candidate_that_shows_nothing_new_fails_and_names_the_one_that_is_kept() -> None:
    earlier, one = of("whistle", A, B, C), showing("hum", near(B, 3), near(A, 11))
    verdict = judge(one, earlier, one)
    assert (verdict.outcome, verdict.score, verdict.threshold) == ("fail", 11.0, 40.0)
    assert f"every image repeats one of candidate {earlier.id}, which is kept" in verdict.reason
    assert verdict.feedback


def test_one_new_image_is_enough() -> None:
    assert judge(of("hum", A, D), of("whistle", A, B, C)).outcome == "pass"


def test_images_shared_with_several_candidates_are_no_repetition() -> None:
    assert judge(of("hum", A, D), of("whistle", A, B), of("yodel", C, D)).outcome == "pass"


def test_of_two_that_show_the_same_the_earlier_one_stays() -> None:
    first, second = of("whistle", A, B), of("hum", A, B)
    assert judge(first, first, second).outcome == "pass"
    assert judge(second, first, second).outcome == "fail"


def test_of_three_in_a_row_the_third_is_compared_with_the_one_that_is_kept() -> None:
    first, second = of("whistle", A, B), showing("hum", near(A, 30), near(B, 30))
    third = showing("yodel", near(A, 60), near(B, 60))
    verdicts = [judge(one, first, second, third) for one in (first, second, third)]
    assert [v.outcome for v in verdicts] == ["pass", "fail", "pass"]
    fourth = showing("sing", near(A, 20), near(B, 20))
    assert first.id in judge(fourth, first, second, third, fourth).reason


def test_a_candidate_that_another_check_failed_keeps_nobody_out() -> None:
    first, second = of("whistle", A, B), of("hum", A, B)
    failed = first.model_copy(update={"verdicts": (verdict("fail"),)})
    passed = first.model_copy(update={"verdicts": (verdict(),)})
    assert judge(second, failed, second).outcome == "pass"
    assert judge(second, passed, second).outcome == "fail"


def test_a_candidate_that_repeats_itself_keeps_nobody_out() -> None:
    first, second = showing("whistle", image(A), near(A, 1)), showing("hum", image(A), image(A, id="e" * 64))
    third = of("yodel", A)
    assert judge(third, first, second, third).outcome == "pass"


@given(looks)
def test_a_candidate_is_never_a_duplicate_of_itself(wanted: list[int]) -> None:
    one = of("hum", *wanted)
    before = one.model_copy(update={"round": 0})
    assert judge(one, one) == judge(one, before, one) == judge(one)


@settings(max_examples=40)
@given(groups, st.integers(0, 5))
def test_what_comes_later_does_not_change_a_verdict(seeds: list[list[int]], place: int) -> None:
    everyone = [of(f"hum number {n}", *group) for n, group in enumerate(seeds)]
    place = min(place, len(everyone) - 1)
    assert judge(everyone[place], *everyone) == judge(everyone[place], *everyone[: place + 1])


@settings(max_examples=40)
@given(groups, st.integers(0, 6))
def test_those_that_passed_before_stand_before_the_pass(seeds: list[list[int]], before: int) -> None:
    everyone = [of(f"hum number {n}", *group) for n, group in enumerate(seeds)]
    at_once = check().compare(everyone, ())
    passed = [c for c, found in zip(everyone[:before], at_once, strict=False) if found.outcome == "pass"]
    later = check().compare(everyone[before:], [Peer(one) for one in passed])
    assert later == at_once[before:]


@settings(max_examples=40)
@given(groups)
def test_just_those_are_kept_that_show_something_new(seeds: list[list[int]]) -> None:
    everyone = [of(f"hum number {n}", *group) for n, group in enumerate(seeds)]
    kept: list[set[int]] = []
    for one, group in zip(everyone, seeds, strict=True):
        expected = "fail" if any(set(group) <= other for other in kept) else "pass"
        assert judge(one, *everyone).outcome == expected
        if expected == "pass":
            kept.append(set(group))


@given(st.integers(0, 1000), st.integers(0, 12), st.integers(0, 30))
def test_a_planted_near_duplicate_is_found_among_others(seed: int, bits: int, others: int) -> None:
    crowd = [of(f"hum number {n}", 2000 + 2 * n, 2001 + 2 * n) for n in range(others)]
    one, copy = of("whistle", seed, 1500), showing("yodel", near(seed, bits), image(1500))
    verdict = judge(copy, *crowd, one, copy)
    assert (verdict.outcome, one.id in verdict.reason) == ("fail", True)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 90))
def test_likeness_is_symmetric(first: int, second: int, bits: int) -> None:
    one, other = image(first), near(second, bits)
    there, back = judge(showing("hum", one, other)), judge(showing("hum", other, one))
    assert (there.outcome, there.score) == (back.outcome, back.score)


# Earlier releases


def test_what_an_earlier_release_shows_is_a_duplicate_and_the_release_is_named() -> None:
    old, one = of("whistle", A, B), of("hum", B, A)
    verdict = judge(one, one, released=(Peer(old, "mirsb-1/2"),))
    assert verdict.outcome == "fail"
    assert f"candidate {old.id} of release mirsb-1/2, which is kept" in verdict.reason


def test_the_same_candidate_in_an_earlier_release_is_a_duplicate_too() -> None:
    one = of("whistle", A, B)
    assert judge(one, one, released=(Peer(one, "mirsb-1/1"),)).outcome == "fail"


def test_a_released_candidate_is_kept_whatever_was_said_of_it() -> None:
    old = of("whistle", A, B).model_copy(update={"verdicts": (verdict("fail"),)})
    assert judge(of("hum", A, B), released=(Peer(old, "mirsb-1/1"),)).outcome == "fail"


# Pixels


def jpeg(pixels: PillowImage.Image) -> PillowImage.Image:
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=50)
    return PillowImage.open(buffer)


CHANGES: dict[str, Callable[[PillowImage.Image], PillowImage.Image]] = {
    "nothing": lambda pixels: pixels,
    "half the size": lambda pixels: pixels.resize((128, 128)),
    "JPEG": jpeg,
    "a crop of 5 %": lambda pixels: pixels.crop((0, 12, 244, 256)),
    "darker": lambda pixels: ImageEnhance.Brightness(pixels).enhance(0.8),
    "turned": lambda pixels: pixels.rotate(3, PillowImage.Resampling.BICUBIC),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("seed", range(4))
def test_a_changed_copy_of_a_picture_is_found(change: str, seed: int) -> None:
    pixels = [noise(seed, 256), noise(seed + 10, 256)]
    one = showing("hum", *(image(n, view_hashes=view_hashes(p)) for n, p in enumerate(pixels)))
    copies = (image(n + 2, view_hashes=view_hashes(CHANGES[change](p))) for n, p in enumerate(pixels))
    assert judge(showing("whistle", *copies), one).outcome == "fail"


def test_view_hashes_are_read_back_and_nothing_else_is() -> None:
    text = view_hashes(noise(1))
    assert read_views(text).tobytes().hex() == text
    with pytest.raises(ValueError, match="cannot reshape"):
        read_views(text[:64])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_any_mode_of_pixels_has_view_hashes(mode: str) -> None:
    assert len(view_hashes(noise(1).convert(mode))) == 768
    assert len(view_hashes(PillowImage.new(mode, (1, 1)))) == 768


# The index


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=12), st.integers(0, 12))
def test_the_index_finds_what_comparing_everything_finds(wanted: list[tuple[int, int]], distance: int) -> None:
    import numpy as np

    codes = np.array([read_views(look(seed, bits)) for seed, bits in wanted], dtype=np.uint8).reshape(-1, 12, 32)
    found = near_pairs(codes, distance, bands=18, band_bits=14)
    everything = {
        (a, b)
        for b, (two, there) in enumerate(wanted)
        for a, (one, here) in enumerate(wanted[:b])
        if one == two and abs(here - there) <= distance
    }
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == everything


def test_nothing_and_one_thing_have_no_pairs() -> None:
    assert judge(illustrated(A)).outcome == judge(of("hum", A, B)).outcome == "pass"
