"""Stage 5: what reviewers get to see."""

from __future__ import annotations

from collections.abc import Sequence

from anyio import to_thread

from mirsb_build.records import Candidate, ReviewItem, content_hash, hash_each
from mirsb_build.review.selection import Selection
from mirsb_build.stages import Stage


class ReviewExport(Stage[Candidate, ReviewItem]):
    """Make a review item of each candidate that passed the checks; the formats people want are written from these.

    With a selection, which a build with targets has, items say how soon their cell takes them.
    """

    name = "review_export"
    returns = ReviewItem
    version = "1"

    def __init__(self, selection: Selection | None = None) -> None:
        self._selection = selection

    def key(self, records: Sequence[Candidate]) -> str:
        return content_hash(
            self.name,
            self.version,
            self._selection.identity if self._selection else None,
            hash_each((r.revision, [v.model_dump() for v in r.verdicts]) for r in records),
        )

    async def run(self, records: Sequence[Candidate]) -> list[ReviewItem]:
        passed = [candidate for candidate in records if candidate.passed]
        ranks = await to_thread.run_sync(self._selection.ranks, passed) if self._selection else {}
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
                rank=ranks.get(candidate.id, 0),
            )
            for candidate in passed
        ]
