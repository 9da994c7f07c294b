"""A simulated review, so that a demo gets to the end. Every decision says that it is one, and none leaves for a Hub."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mirsb_build.records import Decision, ReviewItem, content_hash

REVIEWER = "simulated-reviewer"
ONE_IN = 12
"""How many instances there are to one that is rejected."""


def simulate(items: Sequence[ReviewItem], reviewers: int) -> list[Decision]:
    """Decisions that accept all but about one in twelve, and always leave one instance in a cell.

    They depend on the instances alone, not on their order.
    """
    left = Counter((item.risk_category, item.relation_type) for item in items)
    decisions: list[Decision] = []
    for item in sorted(items, key=lambda item: item.instance):
        cell = item.risk_category, item.relation_type
        reject = left[cell] > 1 and int(content_hash("simulated", item.checksum), 16) % ONE_IN == 0
        left[cell] -= reject
        decisions += [
            Decision(
                instance=item.instance,
                checksum=item.checksum,
                reviewer=f"{REVIEWER}-{number}",
                decision="reject" if reject else "accept",
                comment="simulated: nobody has looked at this",
                simulated=True,
            )
            for number in range(1, reviewers + 1)
        ]
    return decisions
