"""What a candidate shows: its pictures with their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
