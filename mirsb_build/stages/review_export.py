"""Stage 5: what reviewers get to see."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.records import Candidate, ReviewItem, content_hash
from mirsb_build.stages import Stage


class ReviewExport(Stage[Candidate, ReviewItem]):
    """Make a review item of each candidate that passed the checks; the formats people want are written from these."""

    name = "review_export"
    returns = ReviewItem
    version = "1"

    def key(self, records: Sequence[Candidate]) -> str:
        return content_hash(
            self.name, self.version, [(r.revision, [v.model_dump() for v in r.verdicts]) for r in records]
        )

    async def run(self, records: Sequence[Candidate]) -> list[ReviewItem]:
        return [
            ReviewItem(
                instance=candidate.id,
                checksum=candidate.revision,
                risk_category=candidate.risk_category,
                relation_type=candidate.relation_type,
                seed_query=candidate.seed_query.text,
                prompt=candidate.prompt,
                pictures=candidate.pictures,
                round=candidate.round,
                verdicts=candidate.verdicts,
            )
            for candidate in records
            if candidate.passed
        ]
