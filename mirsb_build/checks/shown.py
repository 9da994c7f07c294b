"""What a candidate shows: its pictures with their pixels, and pixels of any mode as a viewer sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from mirsb_build.ports import Evidence, Pixels
from mirsb_build.records import Candidate, Picture


@dataclass(frozen=True)
class Shown:
    """One picture of a candidate that has been decoded."""

    number: int
    """Its place among the candidate's pictures, from 1."""
    picture: Picture
    pixels: Pixels


def shown(candidate: Candidate, evidence: Evidence) -> list[Shown]:
    """The decoded pictures; none where one of them does not decode."""
    numbered = list(enumerate(candidate.pictures, 1))
    there = [(number, picture) for number, picture in numbered if picture.image]
    if len(there) != len(evidence.pixels):  # pixels whose images are in no record
        there = numbered
    return [Shown(number, picture, p) for (number, picture), p in zip(there, evidence.pixels, strict=False)]


def named(numbers: Sequence[int]) -> str:
    """Pictures by their numbers, at least one, within a sentence."""
    return f"picture {numbers[0]}" if len(numbers) == 1 else "pictures " + " and ".join(map(str, numbers))


def in_colours(pixels: Pixels) -> Pixels:
    """The picture in RGB, on white where it is transparent; one that is in RGB already as it is."""
    if pixels.mode.startswith(("I", "F")):  # one channel beyond 8 bits: its own range of tones
        tones = np.nan_to_num(np.asarray(pixels, dtype=np.float64))
        spread = float(np.ptp(tones)) or 1.0
        pixels = PillowImage.fromarray(((tones - tones.min()) / spread * 255).astype(np.uint8))
    if not ("A" in pixels.getbands() or "transparency" in pixels.info):
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")
    rgba = pixels.convert("RGBA")
    return PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
