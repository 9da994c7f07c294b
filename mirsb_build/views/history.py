"""Everything a build has written, read back: what the views are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mirsb_build.config.prompts import ILLUSTRATOR
from mirsb_build.errors import UnknownName
from mirsb_build.records import Candidate, Cell, Exclusion, Instance, ModelCall, Release, SeedBatch, SeedQuery
from mirsb_build.records.crossing import cross
from mirsb_build.store import Store

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
        self.targets: dict[Cell, int] = {(c, r): count for c, r, count in note.get("targets", ())}
        drafts = {n: list(store.records(build, "decompose", n, Candidate)) for n in store.rounds(build, "decompose")}
        tried = {draft.id for round in drafts.values() for draft in round}
        self.candidates = {c.id: c for c in self._crossed() if not self.targets or c.id in tried}
        """Every seed query with every relation type; with targets, those that were tried."""
        self.attempts: dict[str, list[Candidate]] = {}
        self.leftovers: dict[str, list[Candidate]] = {}
        """Records that follow from none before them: an earlier run has left them, and no later one came so far yet."""
        for round, drafted in drafts.items():
            for id, attempt in self._round(round, drafted).items():
                before = self.attempts.setdefault(id, [])
                goes_on = not before or _goes_on(before[-1], attempt)
                (before if goes_on else self.leftovers.setdefault(id, [])).append(attempt)
        reviewed = store.records(build, "review_import", 0, Instance)
        self.reviewed = {instance.id: instance for instance in reviewed if instance.id in self.candidates}
        """As the store has them; `instances` are those whose candidate still passes as it was reviewed."""
        self.instances = {id: one for id, one in self.reviewed.items() if self._stands(one.candidate)}
        self.releases = list(store.records(build, "publish", 0, Release))

    def _crossed(self) -> list[Candidate]:
        """Every seed query with every relation type; a limit has chosen among them only where there are no targets."""
        seeds = [seed for batch in self.batches for seed in batch.seeds if seed.risk_category in self.categories]
        limit = None if self.targets else self.note["profile"]["limits"]["candidates"]
        return cross(seeds, self.categories, self.relation_types, limit)

    def _round(self, round: int, drafts: Sequence[Candidate]) -> dict[str, Candidate]:
        """The candidates of a round, each as the furthest stage left it that still goes with the stage before."""
        furthest = {draft.id: draft for draft in drafts if draft.id in self.candidates}
        for stage in ("synthesize", "filter"):
            for record in self.store.records(self.build, stage, round, Candidate):
                before = furthest.get(record.id)
                if before is not None and _made_of(before, record):
                    furthest[record.id] = record
                elif record.id in self.candidates:
                    self.leftovers.setdefault(record.id, []).append(record)
        return furthest

    def as_stored(self, candidate: str) -> list[Candidate]:
        """The furthest record of every round, whether or not it goes with the others."""
        by_round = {attempt.round: attempt for attempt in self.attempts.get(candidate, ())}
        by_round |= {attempt.round: attempt for attempt in self.leftovers.get(candidate, ())}
        return [by_round[round] for round in sorted(by_round)]

    def _stands(self, candidate: Candidate) -> bool:
        """Whether a candidate that was reviewed passes, as it was, by the newest verdicts too."""
        attempts = self.attempts.get(candidate.id)
        return bool(attempts) and attempts[-1].passed and attempts[-1].revision == candidate.revision

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


def _goes_on(before: Candidate, attempt: Candidate) -> bool:
    """Whether a record of a later round follows from the one before; not so what an earlier run has left behind."""
    if before.passed or not before.alive:
        return False
    return attempt.parent == before.revision and attempt.feedback == before.failure_feedback


def _made_of(before: Candidate, record: Candidate) -> bool:
    """Whether a record of one stage is made of that of the stage before it in the same round."""
    if not before.pictures:
        return record.revision == before.revision
    if record.excluded:
        return record.calls[: len(before.calls)] == before.calls
    if any(picture.image or picture.problem for picture in before.pictures):
        return record.revision == before.revision
    drafted = tuple(picture.model_copy(update={"image": None, "problem": ""}) for picture in record.pictures)
    draft = record.model_copy(update={"pictures": drafted, "calls": before.calls})
    return draft.revision == before.revision
