"""The checks on labelled cases: precision, recall and threshold curves, from which the profiles' thresholds come.

Takes some four minutes on two cores; each part is a module that runs alone too (`python -m benchmarks checks_leakage`).
"""

from __future__ import annotations

from benchmarks import (
    checks_costs,
    checks_duplicates,
    checks_integrity,
    checks_leakage,
    checks_meanings,
    checks_texts,
    checks_visible_text,
)
from benchmarks.results import Row


def measure() -> list[Row]:
    """All figures."""
    parts = (
        checks_costs,  # first, because the memory of the process is measured
        checks_duplicates,
        checks_texts,
        checks_integrity,
        checks_leakage,
        checks_meanings,
        checks_visible_text,
    )
    return [row for part in parts for row in part.measure()]
