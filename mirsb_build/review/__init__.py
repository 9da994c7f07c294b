"""Human review: what reviewers get, what they send back, and what their decisions add up to.

export (items.py) -> people, or simulated.py -> decisions (decisions.py) -> outcome
"""

from mirsb_build.review.decisions import DecisionLog, match_decisions, outcome, outcomes, read_decisions, turned_down
from mirsb_build.review.items import export_jsonl
from mirsb_build.review.simulated import simulate

EXPORTS = {"jsonl": export_jsonl}
"""Formats of `mirsb review export`; a new one is a module with such a function, and an entry here."""

__all__ = [
    "EXPORTS",
    "DecisionLog",
    "match_decisions",
    "outcome",
    "outcomes",
    "read_decisions",
    "simulate",
    "turned_down",
]
