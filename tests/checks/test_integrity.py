"""Integrity: images that are missing, broken, small or blank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageDraw

from mirsb_build.checks.flaws import coherence, drawn_share, lost_share, repetition, spread
from mirsb_build.checks.integrity import MEASURES, MOST, Integrity
from mirsb_build.config.taxonomy import RelationType, Taxonomy
from mirsb_build.images.backends.openmoji.backend import OpenMoji
from mirsb_build.ports import DecodedImages, Evidence, Finding
from mirsb_build.records import Candidate
from tests.factories import candidate, evidence, illustrated, image_spec, noise, picture

RELATION = RelationType.model_construct()


def judge(one: Candidate, *pixels: PillowImage.Image, broken: tuple[str, ...] = (), **options: Any) -> Finding:
    check = Integrity(Integrity.Options(**options), Taxonomy.model_construct())
    return check.judge(one, Evidence(RELATION, lambda: DecodedImages(pixels, broken)))


def blank(color: object = "white", side: int = 256, mode: str = "RGB") -> PillowImage.Image:
    return PillowImage.new(mode, (side, side), color)  # type: ignore[arg-type]


def test_images_that_show_something_pass() -> None:
    verdict = judge(illustrated(1, 2), noise(1, 256), noise(2, 300))
    assert (verdict.outcome, verdict.feedback) == ("pass", "")
    assert verdict.score is not None and verdict.score >= 1 == verdict.threshold


@pytest.mark.parametrize("color", ["white", "black", "red", (10, 20, 30)])
def test_a_blank_image_fails_and_is_named(color: object) -> None:
    verdict = judge(illustrated(1, 2), noise(1, 256), blank(color))
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    assert verdict.reason == "picture 2 is blank (spread 0.0)"
    assert verdict.feedback


def test_an_almost_blank_image_fails() -> None:
    faint = blank().convert("RGB")
    faint.putpixel((3, 3), (0, 0, 0))
    assert "picture 1 is blank" in judge(illustrated(1, 2), faint, noise(2, 256)).reason


def test_a_small_image_fails_and_is_named() -> None:
    verdict = judge(illustrated(1, 2), noise(1, 255), noise(2, 256))
    assert verdict.reason == "picture 1 is 255x255, under 256 a side"
    assert judge(illustrated(1, 2), noise(1, 255), noise(2, 256), min_side=255).outcome == "pass"


def test_one_short_side_is_enough_to_be_small() -> None:
    wide = noise(1, 512).resize((512, 100))
    assert "512x100" in judge(illustrated(1, 2), wide, noise(2, 256)).reason


def test_a_broken_image_fails_with_what_is_wrong_with_it() -> None:
    verdict = judge(illustrated(1, 2), broken=("picture 2 does not decode: truncated",))
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    assert verdict.feedback.startswith("Give picture 2 another description")
    assert verdict.reason == "picture 2 does not decode: truncated"


def test_a_picture_without_an_image_fails() -> None:
    black = picture().model_copy(update={"problem": "three seeds gave black pictures"})
    one = candidate(pictures=(illustrated(1).pictures[0], black, picture()))
    verdict = judge(one, noise(1, 256))
    assert verdict.outcome == "fail"
    assert "picture 2 has no image: three seeds gave black pictures; picture 3 has no image" in verdict.reason


def test_all_faults_are_named_at_once() -> None:
    verdict = judge(illustrated(1, 2), blank(side=64), noise(2, 64))
    assert verdict.reason.count(";") == 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "1", "LA", "CMYK"])
def test_images_of_any_mode_are_judged(mode: str) -> None:
    assert judge(illustrated(1, 2), noise(1, 256).convert("RGB").convert(mode), noise(2, 256)).outcome == "pass"


@given(st.integers(0, 255), st.integers(1, 9))
def test_spread_is_nothing_for_one_tone_of_any_size(tone: int, side: int) -> None:
    assert spread(PillowImage.new("RGB", (side, side), (tone,) * 3)) == 0


def test_spread_is_largest_for_half_black_half_white() -> None:
    half = np.zeros((64, 64), dtype=np.uint8)
    half[:, 32:] = 255
    assert spread(PillowImage.fromarray(half).convert("RGB")) == pytest.approx(127.5)


@given(st.permutations([1, 2, 3]))
def test_the_order_of_the_images_does_not_change_the_verdict(order: list[int]) -> None:
    images = {1: noise(1, 64), 2: blank(side=64), 3: noise(3, 32)}
    verdict = judge(illustrated(1, 2, 3), *(images[n] for n in order), min_side=48)
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)


# Aspect, specks, noise, tiles, lost parts


def faults(*pixels: PillowImage.Image, **options: Any) -> str:
    return judge(illustrated(*range(1, len(pixels) + 1)), *pixels, **options).reason


def scene(number: int = 1, layout: str = "plain") -> PillowImage.Image:
    """What our own backend draws."""
    keywords = (("key", "desk"), ("umbrella", "house"), ("clock", "book"))[number % 3]
    spec = image_spec(keywords=keywords, layout=layout, candidate=str(number), group_keywords=(keywords,))
    pixels = OpenMoji().draw(spec.model_copy(update={"width": 512, "height": 512})).pixels
    assert pixels is not None
    return pixels


def with_speck(share: float, ground: str = "white", side: int = 512) -> PillowImage.Image:
    pixels = PillowImage.new("RGB", (side, side), ground)
    ImageDraw.Draw(pixels).ellipse((side // 4, side // 4, side // 4 + side * share, side // 4 + side * share), "black")
    return pixels


def drawn_in_lines() -> PillowImage.Image:
    pixels = PillowImage.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(pixels)
    pen.rectangle((120, 200, 380, 400), outline="black", width=3)
    pen.line([(120, 200), (250, 80), (380, 200)], fill="black", width=3)
    return pixels


def grain(cell: int, side: int = 512) -> PillowImage.Image:
    """Noise of so many pixels a grain, as undenoised latents have."""
    dice = np.random.default_rng(cell)
    small = dice.normal(128, 60, (side // cell, side // cell, 3)).clip(0, 255).astype(np.uint8)
    return PillowImage.fromarray(small).resize((side, side), PillowImage.Resampling.BICUBIC)


def tiled(pixels: PillowImage.Image, times: int) -> PillowImage.Image:
    whole = PillowImage.new("RGB", pixels.size)
    small = pixels.convert("RGB").resize((pixels.width // times, pixels.height // times))
    for place in range(times**2):
        whole.paste(small, (place % times * small.width, place // times * small.height))
    return whole


def cut_off(pixels: PillowImage.Image, share: float, turn: int = 0) -> PillowImage.Image:
    """The picture without its lower part (or another side's), as a file that ends early is decoded."""
    turned = pixels.convert("RGB").rotate(turn)
    turned.paste("gray", (0, round(turned.height * (1 - share)), turned.width, turned.height))
    return turned.rotate(-turn)


@pytest.mark.parametrize("layout", ["plain", "part", "inset", "cause", "sequence"])
def test_scenes_of_our_own_backend_pass(layout: str) -> None:
    assert judge(illustrated(1, 2), scene(1, layout), scene(2, layout)).outcome == "pass"


def test_a_line_drawing_passes_and_a_speck_on_plain_ground_does_not() -> None:
    verdict = judge(illustrated(1, 2), drawn_in_lines(), with_speck(0.1, "ivory"), min_spread=0)
    assert verdict.reason.startswith("picture 2 shows one tone and a speck (0.0")
    assert verdict.feedback.startswith("Picture 2 is almost empty: ")
    assert drawn_share(drawn_in_lines()) > 0.03 > drawn_share(with_speck(0.1))


@pytest.mark.parametrize("size", [(1200, 300), (300, 1200)])
def test_a_strip_fails(size: tuple[int, int]) -> None:
    assert f"picture 1 is {size[0]}x{size[1]}, one side more than 3 times" in faults(noise(1, 400).resize(size))
    assert judge(illustrated(1), noise(1, 400).resize((900, 300))).outcome == "pass", "three times is allowed"


@pytest.mark.parametrize("cell", [1, 2, 4, 8])
@pytest.mark.parametrize("side", [512, 1024])
def test_noise_of_any_grain_up_to_that_of_latents_fails(cell: int, side: int) -> None:
    verdict = judge(illustrated(1), grain(cell, side))
    assert verdict.reason.startswith("picture 1 is noise (neighbours correlate by ")
    assert verdict.feedback.startswith("Picture 1 came out as noise: ")


def test_grey_noise_fails_and_grey_texture_does_not() -> None:
    assert coherence(grain(1).convert("L").convert("RGB")) < 0.1
    assert coherence(grain(3).convert("L").convert("RGB")) > 0.5, "a brick wall is like that"


@pytest.mark.parametrize("times", [2, 3, 4, 6])
def test_tiles_fail(times: int) -> None:
    verdict = judge(illustrated(1), tiled(scene(), times))
    assert verdict.reason.startswith("picture 1 repeats itself like tiles (")
    assert verdict.feedback.startswith("Picture 1 repeats itself: ")


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_picture_that_breaks_off_on_any_side_fails(turn: int) -> None:
    verdict = judge(illustrated(1), cut_off(noise(1, 512), 0.4, turn))
    assert verdict.reason.startswith("picture 1 breaks off: 0.4")
    assert verdict.feedback.startswith("Picture 1 breaks off: ")


def test_bars_on_both_sides_are_a_frame() -> None:
    framed = cut_off(cut_off(noise(1, 512), 0.2), 0.2, 180)
    assert lost_share(framed) == 0
    assert judge(illustrated(1), framed).outcome == "pass"


@pytest.mark.parametrize("relation", ["Causality", "Complementarity", "Temporal_Continuity"])
def test_the_same_pixels_twice_fail_whatever_the_relation_type(relation: str, taxonomy: Taxonomy) -> None:
    check = Integrity(Integrity.Options(), taxonomy)
    again = noise(1, 256).convert("RGBA")
    verdict = check.judge(illustrated(1, 2, 3), evidence(relation, pixels=(noise(1, 256), noise(2, 256), again)))
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
    assert verdict.reason == "pictures 1 and 3 are the same, pixel for pixel"
    assert verdict.feedback == "Let picture 3 show what picture 1 does not."


def test_the_same_image_twice_fails() -> None:
    assert "pictures 1 and 2 are the same" in judge(illustrated(7, 7), noise(1, 256), noise(2, 256)).reason


def test_pictures_keep_their_numbers_where_one_has_no_image() -> None:
    lacking = candidate(pictures=(picture(), *illustrated(1, 2).pictures))
    assert "picture 3 is blank" in judge(lacking, noise(1, 256), blank()).reason


def test_each_measure_has_its_own_feedback() -> None:
    assert len({measure.feedback for measure in MEASURES}) == len(MEASURES)
    assert {measure.option for measure in MEASURES} == set(Integrity.Options.model_fields)


OFF = {"min_side": 1, "max_aspect": 1000, "min_spread": 0, "min_drawn": 0, "min_coherence": 0} | dict.fromkeys(
    ("max_repetition", "max_lost"), 1
)


FLAWED = [blank(), with_speck(0.1), grain(1), tiled(noise(1, 512), 2), cut_off(noise(2), 0.4)]


@pytest.mark.parametrize("pixels", FLAWED)
def test_every_measure_can_be_taken_out(pixels: PillowImage.Image) -> None:
    assert judge(illustrated(1), pixels).outcome == "fail"
    assert judge(illustrated(1), pixels, **OFF).outcome == "pass"


sides = st.integers(1, 90)


@settings(max_examples=60)
@given(st.integers(0, 9), sides, sides, st.sampled_from([1, 40, 64]), st.sampled_from(["RGB", "L", "RGBA", "P", "1"]))
def test_a_score_under_the_threshold_is_a_failure_and_no_other(
    seed: int, width: int, height: int, least: int, mode: str
) -> None:
    pixels = noise(seed, 64).resize((width, height)).convert(mode)
    verdict = judge(illustrated(1), pixels, min_side=least)
    assert verdict.score is not None and verdict.threshold == 1
    assert 0 <= verdict.score <= MOST
    assert (verdict.score < verdict.threshold) == (verdict.outcome == "fail") == bool(verdict.feedback)


@given(st.integers(0, 255), sides, sides)
def test_measures_take_pictures_of_one_tone_and_any_size(tone: int, width: int, height: int) -> None:
    plain = PillowImage.new("RGB", (width, height), (tone, 255 - tone, 7))
    assert (spread(plain), drawn_share(plain), repetition(plain), lost_share(plain)) == (0, 0, 0, 0)
    assert coherence(plain) == 1
