"""What judges of candidates have in common: what they look at, and the images that go with a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mirsb_build.records import Candidate

Look = Literal["pictures", "descriptions"]
"""What a judge is shown: the images themselves, if its model takes images, or the words that they were made from."""


def reason_to_abstain(candidate: Candidate) -> str | None:
    """Name the first picture that has no image to be shown; None where all have one."""
    missing = next((number for number, picture in enumerate(candidate.pictures, 1) if picture.image is None), None)
    return f"picture {missing} has no image to be shown to the judge" if missing else None


def blobs_of(candidate: Candidate, numbers: Sequence[int], look: Look) -> tuple[str, ...]:
    """The blobs that go with a question about these pictures (numbered from 1), in the order of `numbers`."""
    pictures = [candidate.pictures[number - 1] for number in numbers] if look == "pictures" else []
    return tuple(picture.image.blob for picture in pictures if picture.image)
