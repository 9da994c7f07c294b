"""What judges of candidates have in common: what they look at, and which images go with a question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mirsb_build.records import Candidate

Look = Literal["pictures", "descriptions"]
"""What a judge is shown: the images themselves, if its model takes images, or the words that they were made from."""


def without_image(candidate: Candidate) -> str | None:
    """The first picture that has no image to be shown, as the reason to abstain."""
    missing = next((number for number, picture in enumerate(candidate.pictures, 1) if picture.image is None), None)
    return f"picture {missing} has no image to be shown to the judge" if missing else None


def images_of(candidate: Candidate, shown: Sequence[int], look: Look) -> tuple[str, ...]:
    """The blobs that go with a question about these pictures (numbered from 1), in the order of `shown`."""
    pictures = [candidate.pictures[number - 1] for number in shown] if look == "pictures" else []
    return tuple(picture.image.blob for picture in pictures if picture.image)
