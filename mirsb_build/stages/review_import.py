"""Stage 6: the reviewers' decisions joined to what they are about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mirsb_build.records import Candidate, Cell, Decision, Instance, ReviewItem, content_hash, hash_each
from mirsb_build.review import outcomes
from mirsb_build.stages import Stage


class ReviewImport(Stage[Candidate, Instance]):
    """Join each candidate that passed with the decisions on it and what they add up to.

    A decision on an earlier revision of a candidate does not count: the instance then awaits review again. Where its
    cell has what the target asks for, an instance is kept in reserve.
    """

    name = "review_import"
    returns = Instance
    version = "1"

    def __init__(
        self,
        items: Sequence[ReviewItem],
        decisions: Sequence[Decision],
        reviewers: int,
        targets: Mapping[Cell, int] | None = None,
    ) -> None:
        self._outcomes = outcomes(items, decisions, reviewers, targets or {})
        self._decisions: dict[tuple[str, str], list[Decision]] = {}
        for decision in decisions:
            self._decisions.setdefault((decision.instance, decision.checksum), []).append(decision)

    def _on(self, candidate: Candidate) -> list[Decision]:
        return self._decisions.get((candidate.id, candidate.revision), [])

    def key(self, records: Sequence[Candidate]) -> str:
        about = hash_each(
            (r.revision, [d.model_dump() for d in self._on(r)], [v.model_dump() for v in r.verdicts]) for r in records
        )
        return content_hash(self.name, self.version, self._outcomes, about)

    async def run(self, records: Sequence[Candidate]) -> list[Instance]:
        return [
            Instance(
                candidate=candidate,
                decisions=tuple(self._on(candidate)),
                outcome=self._outcomes[candidate.id],
            )
            for candidate in records
            if candidate.passed
        ]
