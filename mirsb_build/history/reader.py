"""The records of a build's newest run, read back: what the views are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Literal, TypeVar

from pydantic import BaseModel

from mirsb_build.history.course import Pass, read_passes
from mirsb_build.history.note import read_note
from mirsb_build.records import (
    Candidate,
    Cell,
    Exclusion,
    Instance,
    ModelCall,
    Release,
    SeedBatch,
    SeedQuery,
)
from mirsb_build.store import Store

R = TypeVar("R", bound=BaseModel)

STAGES = ("seeds", "decompose", "synthesize", "filter", "review_export", "review_import", "publish")
ROUND_STAGES = ("filter", "synthesize", "decompose")
"""Stages of a round, the furthest first."""
ILLUSTRATOR = "illustrator"
State = Literal["passed", "failed", "dead", "open", "excluded"]


class History:
    """One build as the store has it: the passes that its newest run wrote down, and the records of their shards.

    `attempts` maps a candidate's id to its records, one a round, each as the furthest stage of that round left it;
    a candidate that no round has touched has none. Shards that are missing, damaged or of another key are left out.
    Raises UnknownName for a build that is not there, Damaged where its note cannot be read.
    """

    def __init__(self, store: Store, build: str) -> None:
        self.note = read_note(store, build)
        self.store = store
        self.build = build
        self.max_iterations = self.note.profile.limits.max_iterations
        self.categories = list(self.note.risk_categories)
        self.families = self.note.relation_types
        """Relation type -> family."""
        self.relation_types = list(self.families)
        self.targets = self.note.target_of
        self.passes = read_passes(store, build)
        self.batches = [batch for p in self._of("seeds") for batch in self._records(p, SeedBatch)]
        seeds = {seed.id: seed for batch in self.batches for seed in batch.seeds}
        entered = [(seeds[seed], relation) for p in self.passes for seed, relation in p.new if seed in seeds]
        fresh = [Candidate(seed_query=seed, relation_type=relation) for seed, relation in entered]
        cells = set(self.cells)  # an order of other cells may have begun, and not come to its first pass
        self.candidates = {candidate.id: candidate for candidate in fresh if candidate.cell in cells}
        """All that have entered the build, as they were before their first round."""
        self.attempts: dict[str, list[Candidate]] = {}
        for round in sorted({p.round for p in self._of("decompose")}):
            for id, attempt in self._furthest(round).items():
                if id in self.candidates:
                    self.attempts.setdefault(id, []).append(attempt)

    def _of(self, stage: str) -> list[Pass]:
        return [p for p in self.passes if p.stage == stage]

    def _records(self, entered: Pass, model: type[R]) -> list[R]:
        return [record for n in range(len(entered.shards)) for record in self._shard(entered, n, model) or ()]

    def _shard(self, entered: Pass, n: int, model: type[R]) -> list[R] | None:
        shard = self.store.read_shard(self.build, entered.stage, entered.round, n, model, entered.shards[n])
        return shard.records if shard else None

    def _furthest(self, round: int) -> dict[str, Candidate]:
        """The candidates of a round, each as the furthest stage left it; what stands behind is not read."""
        found: dict[str, Candidate] = {}
        for stage in ROUND_STAGES:
            entered = next((p for p in self._of(stage) if p.round == round), None)
            if entered is None:
                continue
            shards = [self._shard(entered, n, Candidate) for n in range(len(entered.shards))]
            found = {c.id: c for shard in shards for c in shard or ()} | found
            if None not in shards:
                break
        return found

    @cached_property
    def reviewed(self) -> dict[str, Instance]:
        """Instances as the newest run left them, by id."""
        found: dict[str, Instance] = {}
        for p in self._of("review_import"):
            for n, key in enumerate(p.shards):
                for instance in self.store.each_record(self.build, p.stage, p.round, n, Instance, key):
                    found[instance.id] = self._shared(instance)
        return found

    def _shared(self, instance: Instance) -> Instance:
        """The instance with the candidate that is in memory already: a second copy of all takes 40 KB each."""
        last = self.attempts.get(instance.id, [instance.candidate])[-1]
        return instance.model_copy(update={"candidate": last}) if last == instance.candidate else instance

    @property
    def instances(self) -> dict[str, Instance]:
        """Instances of candidates that were tried, by id."""
        return {id: instance for id, instance in self.reviewed.items() if id in self.attempts}

    @cached_property
    def releases(self) -> list[Release]:
        """The release of the newest run; none where nothing was published."""
        return [release for p in self._of("publish") for release in self._records(p, Release)]

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
        """The seed query with that id."""
        return next((s for batch in self.batches for s in batch.seeds if s.id == id), None)

    @property
    def stage(self) -> str:
        """The furthest stage that the newest run has come to."""
        begun = {p.stage for p in self.passes}
        return next((stage for stage in reversed(STAGES) if stage in begun), "nothing yet")

    @property
    def cells(self) -> list[Cell]:
        """Every cell of the build."""
        return [(category, relation) for relation in self.relation_types for category in self.categories]
