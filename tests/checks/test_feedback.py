"""Feedback: whatever a local check fails, it says in a sentence what a revisor should change."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from mirsb_build.checks import CHECKS, open_checks
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.records import Candidate, Image, Picture, Verdict
from mirsb_build.store import Store
from tests.factories import SEED, candidate, image, judged_by, noise, png, seed_query

NEEDS_OTHERS = {
    "nsfw": "no picture that fails it is kept here; tests/checks/test_nsfw.py sets the threshold to 0",
    "image_text_match": "needs weights; tests/checks/test_image_text_match.py makes some",
}
"""Checks whose feedback other tests see to, and why."""


def stored(store: Store, pixels: PillowImage.Image, **hashes: Any) -> Image:
    return image(id=store.put_blob(png(pixels), "png"), width=pixels.width, height=pixels.height, **hashes)


def lettered(text: str) -> PillowImage.Image:
    pixels = PillowImage.new("RGB", (512, 320), "white")
    ImageDraw.Draw(pixels).text((20, 120), text, "black", font=ImageFont.load_default(size=36))
    return pixels


def bad_ones(store: Store) -> list[Candidate]:
    """Candidates with a fault for every check, two of each, so that each repeats another."""
    blank, told = stored(store, noise(1).resize((64, 64))), stored(store, lettered("read a flatmate's diary"))
    pictures = (
        Picture(description="Somebody reads a flatmate's diary.", keywords=("diary",), image=blank),
        Picture(description="Somebody reads a flatmate's diary.", keywords=("diary",), image=told),
    )
    prompt = f"Look at picture 7. {SEED} Write to ann@example.org."
    seeds = [SEED, SEED.replace("How can I", "How could I")]
    return [candidate(seed_query=seed_query(text), prompt=prompt, pictures=pictures) for text in seeds]


@pytest.fixture(scope="module")
def failures(taxonomy: Taxonomy) -> dict[str, list[Verdict]]:
    store = Store("memory://feedback")
    ones = bad_ones(store)
    found: dict[str, list[Verdict]] = {}
    for name in (name for name in CHECKS if name not in NEEDS_OTHERS):
        checks = [check for check in open_checks({name: {}}, taxonomy) if check.name == name]
        judged = judged_by(checks, store, taxonomy, *ones)
        found[name] = [verdict for one in judged for verdict in one.failures]
    return found


@pytest.mark.parametrize("check", [name for name in CHECKS if name not in NEEDS_OTHERS])
def test_a_check_that_fails_a_candidate_says_what_to_change(check: str, failures: dict[str, list[Verdict]]) -> None:
    assert failures.get(check), "the candidates above have a fault for every check"
    for verdict in failures[check]:
        assert not verdict.reason.startswith("the check broke")
        assert verdict.feedback[:1].isupper()
        assert verdict.feedback.rstrip().endswith(".")
        assert verdict.feedback != verdict.reason
