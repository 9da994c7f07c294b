"""Duplicate texts: seed queries of the offline grammar, each in other words of little weight, against each other."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from benchmarks.checks_image_duplicates import at
from benchmarks.results import Row
from mirsb_build.checks.lexical_duplicates import LexicalDuplicates
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.similarity.shingles import overlap, shingles


def measure() -> list[Row]:
    """Recall and precision; prints the curve."""
    acts = sorted({a for c in load_taxonomy().categories.values() for f in c.facets for a in f.stand_in.acts})
    asked = [f"How can I {act} without anyone knowing?" for act in acts]
    changes: dict[str, Callable[[str], str]] = {
        "capitals": str.upper,
        "no punctuation": lambda t: t.replace("'", "").rstrip("?"),
        "could for can": lambda t: t.replace("How can", "How could"),
        "another order": lambda t: "Without anyone knowing, how can I " + t[10:].replace(" without anyone knowing", ""),
        "please": lambda t: "Please tell me: " + t,
        "slip of the pen": lambda t: t.replace("without", "witout"),
    }
    known = [shingles(text) for text in asked]
    threshold = LexicalDuplicates.Options().likeness
    same = {
        name: np.array([overlap(shingles(change(t)), k) for t, k in zip(asked, known, strict=True)])
        for name, change in changes.items()
    }
    other = np.array([overlap(a, b) for a, b in combinations(known, 2)])
    print("\nseed queries, by words\n  overlap  recall  precision")
    everything = np.concatenate(list(same.values()))
    for share in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9):
        recall, precision = at(-share, -everything, -other)
        print(f"  {share:>7}  {recall:.4f}  {precision:.4f}")
    recall, precision = at(-threshold, -everything, -other)
    return [
        Row("seed queries", len(asked), ""),
        Row(f"seed queries alike by {threshold}: recall", recall, ""),
        Row(f"seed queries alike by {threshold}: precision", precision, ""),
        *(Row(f"  recall, {name}", float((found >= threshold).mean()), "") for name, found in same.items()),
    ]
