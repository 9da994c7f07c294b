"""Duplicates: images that repeat within a candidate, and candidates that repeat an earlier one's images."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from pydantic import Field

from mirsb_build.ports import Evidence, Peers
from mirsb_build.records import Candidate, Image, Record, Verdict
from mirsb_build.taxonomy import Taxonomy


class Duplicates:
    """Passes a candidate whose images differ from one another and are not, all of them, those of an earlier candidate.

    Two images are the same when their bytes are, or when their 64-bit pHashes differ in at most `distance` bits.
    Sharing some images with another candidate is allowed, showing nothing new is not. The score is the smallest
    distance found inside the candidate (0-64); `distance` itself fails.
    """

    name = "duplicates"
    version = "1"

    class Options(Record):
        """How alike two images may be."""

        distance: int = Field(default=8, ge=0, le=63)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._distance = options.distance

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        images = [p.image for p in candidate.pictures if p.image]
        pairs = [(_distance(a, b), i, j) for (i, a), (j, b) in combinations(enumerate(images, 1), 2)]
        nearest, first, second = min(pairs, default=(64, 0, 0))
        reason = f"the two most alike images are {nearest} of 64 bits apart"
        feedback = ""
        if nearest <= self._distance:
            reason = f"pictures {first} and {second} are {nearest} of 64 bits apart"
            feedback = f"Give pictures {first} and {second} clearly different contents."
        elif twin := self._twin(candidate, images, evidence.peers):
            reason = f"every image repeats one of candidate {twin}"
            feedback = "Show other people, things and places than the candidates before."
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if feedback else "pass",
            score=float(nearest),
            threshold=float(self._distance),
            reason=reason,
            feedback=feedback,
        )

    def _twin(self, candidate: Candidate, images: list[Image], peers: Peers) -> str | None:
        """The first earlier candidate that has all these images already."""
        end = peers.before(candidate)
        shared: set[str] | None = None
        for image in images:
            apart = np.bitwise_count(peers.perceptual_hashes[:end] ^ np.uint64(int(image.perceptual_hash, 16)))
            owners = {peers.owners[place] for place in np.flatnonzero(apart <= self._distance)} - {candidate.id}
            shared = owners if shared is None else shared & owners
            if not shared:
                return None
        return min(shared) if shared else None


def _distance(a: Image, b: Image) -> int:
    """Bits in which two pHashes differ; 0 for the same bytes."""
    return 0 if a.id == b.id else (int(a.perceptual_hash, 16) ^ int(b.perceptual_hash, 16)).bit_count()
