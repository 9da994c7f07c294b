"""How the scores of each check are spread, and where its threshold cuts them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mirsb_build.records import Candidate, Record, Verdict

BINS = 24


class Bin(Record):
    """Verdicts whose scores lie in one stretch; heights are percentages of the drawing's height."""

    passed: int
    failed: int
    passed_height: float = 0.0
    failed_height: float = 0.0


class Histogram(Record):
    """The scores of one check over all rounds."""

    check: str
    low: float
    """Where the first bin begins."""
    high: float
    """Where the last one ends."""
    bins: tuple[Bin, ...]
    threshold: float | None
    """None where the check has none, or where it changed between the verdicts."""
    place: float | None
    """Of the threshold, in percent of the drawing's width."""
    scored: int
    unscored: int
    """Verdicts without a score: those that abstained among them."""


def histograms(attempts: Iterable[Candidate]) -> tuple[Histogram, ...]:
    """One a check that gave scores, in the order in which the checks ran."""
    by_check: dict[str, list[Verdict]] = {}
    for verdict in (v for attempt in attempts for v in attempt.verdicts):
        by_check.setdefault(verdict.check, []).append(verdict)
    drawn = (_histogram(name, verdicts) for name, verdicts in by_check.items())
    return tuple(histogram for histogram in drawn if histogram)


def _histogram(check: str, verdicts: Sequence[Verdict]) -> Histogram | None:
    scored = [(v, v.score) for v in verdicts if v.score is not None and math.isfinite(v.score)]
    thresholds = {v.threshold for v, _ in scored}
    threshold = thresholds.pop() if len(thresholds) == 1 else None
    edges = [score for _, score in scored] + ([threshold] if threshold is not None else [])
    if not scored or min(edges) == max(edges):
        return None  # all the same, and no threshold to set it against: there is nothing to draw
    low, high = min(edges), max(edges)
    counts = [[0, 0] for _ in range(BINS)]
    for verdict, score in scored:
        place = min(BINS - 1, int((score - low) / (high - low) * BINS))
        counts[place][verdict.outcome == "fail"] += 1
    tallest = max(sum(count) for count in counts)
    return Histogram(
        check=check,
        low=low,
        high=high,
        bins=tuple(
            Bin(passed=p, failed=f, passed_height=_height(p, tallest), failed_height=_height(f, tallest))
            for p, f in counts
        ),
        threshold=threshold,
        place=None if threshold is None else round(100 * (threshold - low) / (high - low), 2),
        scored=len(scored),
        unscored=len(verdicts) - len(scored),
    )


def _height(count: int, tallest: int) -> float:
    """In percent, and enough to be seen where there is anything."""
    return max(round(100 * count / tallest, 2), 1.5) if count else 0.0
