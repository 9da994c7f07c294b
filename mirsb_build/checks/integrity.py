"""Integrity: every image is there, decodes, is large enough and shows something."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from mirsb_build.ports import Evidence, Pixels
from mirsb_build.records import Candidate, Record, Verdict
from mirsb_build.taxonomy import Taxonomy


class Integrity:
    """Passes a candidate whose images all decode, have `min_side` pixels a side and are not blank.

    The score is the smallest spread (standard deviation of the luminance, 0-127) among the images; below `min_spread`
    an image counts as blank.
    """

    name = "integrity"
    version = "1"

    class Options(Record):
        """How small and how plain an image may be."""

        min_side: int = Field(default=256, ge=1)
        min_spread: float = Field(default=8.0, ge=0)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._limits = options

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        faults = list(evidence.broken)
        images = [p.image for p in candidate.pictures if p.image]
        for number, picture in enumerate(candidate.pictures, 1):
            if picture.image is None:
                faults.append(f"picture {number} has no image: {picture.problem or 'none was made'}")
        spreads = [luminance_spread(pixels) for pixels in evidence.pixels]
        for number, (pixels, spread) in enumerate(zip(evidence.pixels, spreads, strict=True), 1):
            if min(pixels.size) < self._limits.min_side:
                faults.append(
                    f"picture {number} is {pixels.width}x{pixels.height}, under {self._limits.min_side} a side"
                )
            if spread < self._limits.min_spread:
                faults.append(f"picture {number} is blank (spread {spread:.1f})")
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if faults else "pass",
            score=round(min(spreads), 2) if spreads else None,
            threshold=self._limits.min_spread,
            reason="; ".join(faults) or f"{len(images)} images decode and show something",
            feedback="Describe something that can be drawn, with other keywords." if faults else "",
        )


def luminance_spread(pixels: Pixels) -> float:
    """Standard deviation of an image's luminance, 0 (one tone) to 127.5 (half black, half white)."""
    return float(np.asarray(pixels.convert("L").reduce(4)).std())
