"""Integrity: images that are missing, broken, small or blank."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mirsb_build.checks.integrity import Integrity, luminance_spread
from mirsb_build.ports import Evidence
from mirsb_build.records import Candidate, Verdict
from mirsb_build.taxonomy import RelationType, Taxonomy
from tests.factories import candidate, illustrated, noise, picture

RELATION = RelationType.model_construct()


def judge(one: Candidate, *pixels: PillowImage.Image, broken: tuple[str, ...] = (), **options: Any) -> Verdict:
    check = Integrity(Integrity.Options(**options), Taxonomy.model_construct())
    return check.judge(one, Evidence(relation_type=RELATION, pixels=pixels, broken=broken))


def blank(color: object = "white", side: int = 256, mode: str = "RGB") -> PillowImage.Image:
    return PillowImage.new(mode, (side, side), color)  # type: ignore[arg-type]


def test_images_that_show_something_pass() -> None:
    verdict = judge(illustrated(1, 2), noise(1, 256), noise(2, 300))
    assert (verdict.outcome, verdict.feedback) == ("pass", "")
    assert verdict.score is not None and verdict.score >= 8


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
    assert (verdict.outcome, verdict.score) == ("fail", None)
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
    assert luminance_spread(PillowImage.new("L", (side, side), tone)) == 0


def test_spread_is_largest_for_half_black_half_white() -> None:
    half = np.zeros((64, 64), dtype=np.uint8)
    half[:, 32:] = 255
    assert luminance_spread(PillowImage.fromarray(half)) == pytest.approx(127.5)


@given(st.permutations([1, 2, 3]))
def test_the_order_of_the_images_does_not_change_the_verdict(order: list[int]) -> None:
    images = {1: noise(1, 64), 2: blank(side=64), 3: noise(3, 32)}
    verdict = judge(illustrated(1, 2, 3), *(images[n] for n in order), min_side=48)
    assert (verdict.outcome, verdict.score) == ("fail", 0.0)
