"""Stage 6: the reviewers' decisions joined to what they are about."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.records import Candidate, Decision, Instance, content_hash
from mirsb_build.review import outcome
from mirsb_build.stages import Stage


class ReviewImport(Stage[Candidate, Instance]):
    """Join each candidate that passed with the decisions on it and what they add up to.

    A decision on an earlier revision of a candidate does not count: the instance then awaits review again.
    """

    name = "review_import"
    returns = Instance
    version = "1"

    def __init__(self, decisions: Sequence[Decision], reviewers: int) -> None:
        self._reviewers = reviewers
        self._decisions: dict[tuple[str, str], list[Decision]] = {}
        for decision in decisions:
            self._decisions.setdefault((decision.instance, decision.checksum), []).append(decision)

    def _on(self, candidate: Candidate) -> list[Decision]:
        return self._decisions.get((candidate.id, candidate.revision), [])

    def key(self, records: Sequence[Candidate]) -> str:
        said = [
            (r.revision, [d.model_dump() for d in self._on(r)], [v.model_dump() for v in r.verdicts]) for r in records
        ]
        return content_hash(self.name, self.version, self._reviewers, said)

    async def run(self, records: Sequence[Candidate]) -> list[Instance]:
        return [
            Instance(
                candidate=candidate,
                decisions=tuple(self._on(candidate)),
                outcome=outcome(self._on(candidate), self._reviewers),
            )
            for candidate in records
            if candidate.passed
        ]
