"""Human review: what reviewers get, what they send back, and what their decisions add up to.

export (items.py) -> people, or simulated.py -> decisions (decisions.py) -> outcome
service.py does it for a build: what a command or a web page calls.
"""

from mirsb_build.review.decisions import DecisionLog, match_decisions, outcome, outcomes, read_decisions, turned_down
from mirsb_build.review.service import EXPORTS, Imported, ReviewService
from mirsb_build.review.simulated import simulate

__all__ = [
    "EXPORTS",
    "DecisionLog",
    "Imported",
    "ReviewService",
    "match_decisions",
    "outcome",
    "outcomes",
    "read_decisions",
    "simulate",
    "turned_down",
]
