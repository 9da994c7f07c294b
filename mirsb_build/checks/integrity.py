"""Integrity: every image is there, decodes, is large enough, shows something and is no copy of its neighbour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations

from pydantic import Field

from mirsb_build.checks import flaws
from mirsb_build.checks.decoded import DecodedPicture, decoded_pictures
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Check, Evidence, Finding, Pixels
from mirsb_build.records import Candidate, Record
from mirsb_build.similarity.pixels import to_rgb

MOST = 4.0
"""Margin at which scores end: further from a limit nothing is told."""

_BROKEN = "Give {} another description and other keywords, so that it is made anew."


@dataclass(frozen=True)
class Measure:
    """One thing that is measured of a picture, the option with its limit, and the reason and feedback beyond it."""

    option: str
    of: Callable[[Pixels], float]
    at_most: bool
    reason: str
    """Of picture {n}, with its {value}, {limit}, {width} and {height}."""
    feedback: str

    def margin(self, value: float, limit: float) -> float:
        """1 at the limit, less beyond it, at most `MOST`."""
        far, near = (limit, value) if self.at_most else (value, limit)
        return min(MOST, max(0.0, far) / near) if near > 0 else MOST


def _shorter(pixels: Pixels) -> float:
    return float(min(pixels.size))


def _aspect(pixels: Pixels) -> float:
    return max(pixels.size) / min(pixels.size)


MEASURES = (
    Measure(
        "min_side",
        _shorter,
        False,
        "picture {n} is {width}x{height}, under {limit:g} a side",
        "Give picture {n} other keywords, of something that there are larger pictures of.",
    ),
    Measure(
        "max_aspect",
        _aspect,
        True,
        "picture {n} is {width}x{height}, one side more than {limit:g} times the other",
        "Describe for picture {n} something that fills a frame about as wide as high, no panorama and no strip.",
    ),
    Measure(
        "min_spread",
        flaws.spread,
        False,
        "picture {n} is blank (spread {value:.1f})",
        "Picture {n} shows nothing: describe something solid that can be drawn, with other keywords.",
    ),
    Measure(
        "min_drawn",
        flaws.drawn_share,
        False,
        "picture {n} shows one tone and a speck ({value:.3f} of its cells)",
        "Picture {n} is almost empty: describe its thing large and near, or in its surroundings.",
    ),
    Measure(
        "min_coherence",
        flaws.coherence,
        False,
        "picture {n} is noise (neighbours correlate by {value:.2f})",
        "Picture {n} came out as noise: describe one plain thing in a plain place, with other words.",
    ),
    Measure(
        "max_repetition",
        flaws.repetition,
        True,
        "picture {n} repeats itself like tiles ({value:.2f})",
        "Picture {n} repeats itself: ask for one thing once, and for no pattern, collage or contact sheet.",
    ),
    Measure(
        "max_lost",
        flaws.lost_share,
        True,
        "picture {n} breaks off: {value:.2f} of it is one flat tone",
        "Picture {n} breaks off: give it another description or other keywords, so that it is made anew.",
    ),
)


class Integrity(Check):
    """Passes a candidate whose images all decode and lie within the limits of `MEASURES`, no two with the same pixels.

    The score is the margin (0-4) of the worst measure of the worst picture: how often what was measured holds the least
    that is asked, or the most that is allowed holds it. It is 0 where a picture is missing or broken or is a copy of
    another, whatever the relation type. A score below the threshold of 1 fails, whichever limits were set.
    """

    name = "integrity"
    version = "2"

    class Options(Record):
        """Limits of what is measured of a picture; a lower limit of 0 is none, nor is a share of 1 as the upper."""

        min_side: int = Field(default=256, ge=1)
        """Pixels of the shorter side."""
        max_aspect: float = Field(default=3.0, ge=1)
        """Longer side by shorter side."""
        min_spread: float = Field(default=8.0, ge=0)
        """Standard deviation of the luminance, 0 to 127.5."""
        min_drawn: float = Field(default=0.02, ge=0, le=1)
        """Share of cells that show anything but the commonest tone."""
        min_coherence: float = Field(default=0.25, ge=0, le=1)
        """Correlation of neighbours in the picture made small."""
        max_repetition: float = Field(default=0.8, gt=0, le=1)
        """Correlation of edges with those a tile further on."""
        max_lost: float = Field(default=0.15, gt=0, le=1)
        """Share of the picture that is one flat tone after a busy line."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        faults = [(reason, _BROKEN.format(reason.partition(" does not")[0])) for reason in evidence.broken]
        for number, picture in enumerate(candidate.pictures, 1):
            if picture.image is None:
                reason = f"picture {number} has no image: {picture.problem or 'none was made'}"
                faults.append((reason, f"Picture {number} could not be made: describe another thing, in other words."))
        pictures = [replace(one, pixels=to_rgb(one.pixels)) for one in decoded_pictures(candidate, evidence)]
        for first, second in combinations(pictures, 2):
            if _same(first, second):
                reason = f"pictures {first.number} and {second.number} are the same, pixel for pixel"
                faults.append((reason, f"Let picture {second.number} show what picture {first.number} does not."))
        score = 0.0 if faults else MOST
        for one in pictures:
            margin, beyond = self._measure(one)
            score = min(score, margin)
            faults += beyond
        return Finding(
            outcome="fail" if faults else "pass",
            score=min(round(score, 4), 0.9999) if score < 1 else round(score, 4),
            threshold=1.0,
            reason="; ".join(reason for reason, _ in faults) or f"{len(pictures)} images decode and show something",
            feedback=" ".join(dict.fromkeys(feedback for _, feedback in faults)),
        )

    def _measure(self, one: DecodedPicture) -> tuple[float, list[tuple[str, str]]]:
        """The worst margin of a picture, and reason and feedback of each measure that is beyond its limit."""
        margins: list[float] = []
        faults: list[tuple[str, str]] = []
        for measure in MEASURES:
            value, limit = measure.of(one.pixels), self.options[measure.option]
            margins.append(measure.margin(value, limit))
            if margins[-1] < 1:
                known = {"n": one.number, "value": value, "limit": limit}
                reason = measure.reason.format(**known, width=one.pixels.width, height=one.pixels.height)
                faults.append((reason, measure.feedback.format(n=one.number)))
                if measure.of is flaws.spread:
                    break  # of a blank picture nothing else is worth saying
        return min(margins), faults


def _same(one: DecodedPicture, other: DecodedPicture) -> bool:
    """Whether two pictures have the same bytes, or the same pixels in other bytes."""
    if one.image_id is not None and one.image_id == other.image_id:
        return True
    return one.pixels.size == other.pixels.size and one.pixels.tobytes() == other.pixels.tobytes()
