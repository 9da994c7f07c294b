"""The checks on labelled cases: precision, recall and threshold curves, from which the profiles' thresholds come.

Takes some four minutes on two cores; each part is a module that runs alone too (`python -m benchmarks checks_leakage`).
"""

from __future__ import annotations

from benchmarks import (
    checks_costs,
    checks_image_duplicates,
    checks_integrity,
    checks_leakage,
    checks_lexical_duplicates,
    checks_ocr_leakage,
    checks_semantic_duplicates,
)
from benchmarks.results import Row


def measure() -> list[Row]:
    """All figures."""
    parts = (
        checks_costs,  # first, because the memory of the process is measured
        checks_image_duplicates,
        checks_lexical_duplicates,
        checks_integrity,
        checks_leakage,
        checks_semantic_duplicates,
        checks_ocr_leakage,
    )
    return [row for part in parts for row in part.measure()]
