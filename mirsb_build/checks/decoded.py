"""The pictures of a candidate with their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mirsb_build.ports import Evidence, Pixels
from mirsb_build.records import Candidate, Picture


@dataclass(frozen=True)
class DecodedPicture:
    """One picture of a candidate that has been decoded."""

    number: int
    """Its place among the candidate's pictures, from 1."""
    picture: Picture
    pixels: Pixels

    @property
    def image_id(self) -> str | None:
        """SHA-256 of the image's bytes; None where the picture has no image on record."""
        return self.picture.image.id if self.picture.image else None


def decoded_pictures(candidate: Candidate, evidence: Evidence) -> list[DecodedPicture]:
    """The decoded pictures; none where one of them does not decode."""
    all_pixels = evidence.pixels
    numbered = list(enumerate(candidate.pictures, 1))
    there = [(number, picture) for number, picture in numbered if picture.image]
    if len(there) != len(all_pixels):  # pixels whose images are in no record
        there = numbered
    return [DecodedPicture(number, picture, p) for (number, picture), p in zip(there, all_pixels, strict=False)]


def name_pictures(numbers: Sequence[int]) -> str:
    """Name pictures by their numbers, at least one, within a sentence."""
    return f"picture {numbers[0]}" if len(numbers) == 1 else "pictures " + " and ".join(map(str, numbers))
