"""Everything a build has written, read back: what the views are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from mirsb_build.config import Targets
from mirsb_build.crossing import cross
from mirsb_build.errors import UnknownName
from mirsb_build.prompts import ILLUSTRATOR
from mirsb_build.records import Candidate, Exclusion, Instance, ModelCall, Release, SeedBatch, SeedQuery
from mirsb_build.store import Store
from mirsb_build.targets import targets_of

STAGES = ("seeds", "decompose", "synthesize", "filter", "review_export", "review_import", "publish")
State = Literal["passed", "failed", "dead", "open", "excluded"]


class History:
    """One build as the store has it, damaged shards left out.

    `attempts` maps a candidate's id to its records, one a round, each as the furthest stage of that round left it;
    a candidate that no round has touched has none.
    """

    def __init__(self, store: Store, build: str) -> None:
        note = store.read_json(f"builds/{build}/build.json")
        if note is None:
            raise UnknownName("build", build, store.builds(), where=f"store {store.url}")
        self.store = store
        self.build = build
        self.note: dict[str, Any] = note
        self.max_iterations: int = note["profile"]["limits"]["max_iterations"]
        self.categories: list[str] = note["risk_categories"]
        self.families: dict[str, str] = note["relation_types"]
        """Relation type -> family."""
        self.relation_types = list(self.families)
        rounds = store.rounds(build, "seeds")
        self.batches = [b for round in rounds for b in store.records(build, "seeds", round, SeedBatch)]
        choice = Targets.model_validate(note["profile"].get("targets", {}))
        self.tries = choice.tries
        self.targets = targets_of(choice, self.categories, self.relation_types)
        self.candidates = {candidate.id: candidate for candidate in self._known()}
        self.attempts: dict[str, list[Candidate]] = {}
        for round in store.rounds(build, "decompose"):
            for id, attempt in self._round(round).items():
                self.attempts.setdefault(id, []).append(attempt)
        reviewed = store.records(build, "review_import", 0, Instance)
        self.instances = {instance.id: instance for instance in reviewed if instance.id in self.candidates}
        self.releases = list(store.records(build, "publish", 0, Release))

    def _known(self) -> list[Candidate]:
        """All candidates: every seed query with every relation type, or, with targets, those that were tried."""
        seeds = [seed for batch in self.batches for seed in batch.seeds if seed.risk_category in self.categories]
        crossed = cross(
            seeds,
            self.categories,
            self.relation_types,
            None if self.targets else self.note["profile"]["limits"]["candidates"],
        )
        if not self.targets:
            return crossed
        rounds = self.store.rounds(self.build, "decompose")
        tried = {c.id for n in rounds for c in self.store.records(self.build, "decompose", n, Candidate)}
        return [candidate for candidate in crossed if candidate.id in tried]

    def _round(self, round: int) -> dict[str, Candidate]:
        """The candidates of a round, each as the furthest stage left it."""
        furthest: dict[str, Candidate] = {}
        for stage in ("decompose", "synthesize", "filter"):
            furthest |= {c.id: c for c in self.store.records(self.build, stage, round, Candidate)}
        return {id: candidate for id, candidate in furthest.items() if id in self.candidates}

    def state(self, candidate: Candidate) -> State:
        """Where a candidate stands after its last round."""
        attempts = self.attempts.get(candidate.id)
        if not attempts:
            return "open"
        last = attempts[-1]
        if last.excluded:
            return "excluded"
        if last.problem:
            return "dead"
        if last.passed:
            return "passed"
        return "failed" if last.verdicts and last.round >= self.max_iterations else "open"

    def calls(self) -> Iterator[ModelCall]:
        """Every model call that the build rests on, once."""
        return (call for _, _, call in self.calls_by_stage())

    def calls_by_stage(self) -> Iterator[tuple[str, int, ModelCall]]:
        """Every model call that the build rests on, once, with its stage and round (0 for the seeds)."""
        made = [("seeds", 0, call) for batch in self.batches for call in batch.calls]
        attempts = [attempt for group in self.attempts.values() for attempt in group]
        made += [
            ("synthesize" if call.role == ILLUSTRATOR else "decompose", attempt.round, call)
            for attempt in attempts
            for call in attempt.calls
        ]
        made += [("filter", a.round, call) for a in attempts for v in a.verdicts for call in v.calls]
        seen: set[str] = set()
        for stage, round, call in made:
            if call.id not in seen:
                seen.add(call.id)
                yield stage, round, call

    def exclusions(self) -> Iterator[Exclusion]:
        """What the policy dropped: seeds, then candidates."""
        for batch in self.batches:
            yield from batch.exclusions
        for attempts in self.attempts.values():
            if attempts[-1].excluded:
                yield attempts[-1].excluded

    @property
    def seeds_missing(self) -> Counter[str]:
        """Risk category -> seed queries that were ordered and not brought."""
        missing: Counter[str] = Counter()
        for batch in self.batches:
            missing[batch.risk_category] += max(0, batch.wanted - len(batch.seeds))
        return +missing

    def seed(self, id: str) -> SeedQuery | None:
        return next((s for batch in self.batches for s in batch.seeds if s.id == id), None)

    @property
    def stage(self) -> str:
        """The furthest stage that has finished something."""
        return next((stage for stage in reversed(STAGES) if self.store.rounds(self.build, stage)), "nothing yet")
