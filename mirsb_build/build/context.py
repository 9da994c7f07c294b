"""A build, opened: profile, taxonomy, prompts, store, models, images and checks put together, and its shards run.

Everything a stage needs is made here and passed in. `open_build` is cheap; it calls nothing and writes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import BaseModel

from mirsb_build.build.environment import describe
from mirsb_build.build.targets import Growth, targets_of
from mirsb_build.checks import open_checks
from mirsb_build.config.profiles import Profile, check_build_name, load_profile
from mirsb_build.config.prompts import ILLUSTRATOR, REFERENCE, ROLES, Prompts, load_prompts
from mirsb_build.config.taxonomy import Taxonomy, load_taxonomy
from mirsb_build.errors import BadFile, UnknownName, UsageError
from mirsb_build.images import BackendContext, Images, open_backend
from mirsb_build.llm import Ledger, Models, open_models
from mirsb_build.ports import Peer
from mirsb_build.records import BuildOrder, Candidate, Cell, Decision, MadeWith, ReviewItem
from mirsb_build.release import released_peers
from mirsb_build.review import DecisionLog, simulate, turned_down
from mirsb_build.review.selection import Selection
from mirsb_build.runtime.progress import Step, report
from mirsb_build.stages import Stage, decompose, seeds
from mirsb_build.stages.allotment import Allotment
from mirsb_build.stages.comparison import Compare
from mirsb_build.stages.decompose import Decompose
from mirsb_build.stages.filter import Filter
from mirsb_build.stages.publish import Publish
from mirsb_build.stages.review_export import ReviewExport
from mirsb_build.stages.review_import import ReviewImport
from mirsb_build.stages.seeds import Seeds
from mirsb_build.stages.synthesize import Synthesize
from mirsb_build.store import Shard, Store, build_lock
from mirsb_build.store.verdicts import VerdictStore

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
ROUND_STAGES = ("decompose", "synthesize", "filter")


@dataclass(frozen=True)
class Work:
    """One shard of one pass of a stage."""

    stage: Stage[Any, Any]
    round: int
    n: int
    records: Sequence[BaseModel]

    @cached_property
    def key(self) -> str:
        """What the shard's key has to be for it to count as finished."""
        return self.stage.key(self.records)

    @property
    def name(self) -> str:
        return f"{self.stage.name}, round {self.round}, shard {self.n}"


@dataclass(frozen=True)
class Outcome:
    """How far a build got."""

    candidates: int
    passed: int
    rounds: int
    writings: int
    """Passes of the seed stage."""
    awaiting: int

    def __str__(self) -> str:
        return f"{self.passed} of {self.candidates} candidates passed in {self.rounds} rounds"


class EachShard(Protocol):
    """How a pass of a stage is run: as Prefect tasks, one after the other, or not at all."""

    def __call__(self, build: Build, stage: Stage[In, Out], records: Sequence[In], round: int = 0) -> list[Out]: ...


class Build:
    """One build and everything that works on it."""

    def __init__(self, order: BuildOrder) -> None:
        self.order = order
        self.name = check_build_name(order.build)
        self.profile: Profile = load_profile(order.profile, order.settings)
        folders = [*map(_folder, self.profile.folders)]
        self.taxonomy: Taxonomy = load_taxonomy(folders)
        self.prompts: Prompts = load_prompts(folders)
        categories = dict.fromkeys(self.profile.seeds.categories or self.taxonomy.categories)
        self.categories = [self.taxonomy.category(name).name for name in categories]
        relation_types = dict.fromkeys(self.profile.relation_types or self.taxonomy.relation_types)
        self.relation_types = [self.taxonomy.relation_type(name).name for name in relation_types]
        _check_roles(self.profile)
        self.store = Store(order.store)
        self.ledger = Ledger(self.name, self.profile.limits.cost, self.profile.limits.calls)
        self.models = Models(
            open_models(self.profile.models, self.store),
            self.profile.models,
            self.prompts,
            self.taxonomy.policy,
            self.store,
            self.profile.limits.repairs,
            self.ledger,
        )
        # A role without a model, or a relation type without a prompt, is named now and not in the middle of a build.
        self.models.identity(seeds.ROLE, seeds.PROMPT)
        for name in self.relation_types:
            self.models.identity(decompose.ROLE, decompose.prompt_name(name))
        backend = open_backend(self.profile.images, BackendContext(self.store, self.models, self.taxonomy.policy))
        for name in self.relation_types:
            layout = self.taxonomy.relation_type(name).layout
            if backend.layouts and layout not in backend.layouts:
                raise UnknownName("layout", layout, backend.layouts, where=f"relation type {name}")
        self.images = Images(backend, self.store, lambda call: self.ledger.note(call.id, call.cost))
        self.checks = open_checks(self.profile.checks, self.taxonomy, self.models)
        wanted = self.profile.targets
        for name in (*wanted.relation_types, *(name for row in wanted.cells.values() for name in row)):
            self.taxonomy.relation_type(name)
        for name in wanted.cells:
            self.taxonomy.category(name)
        self.targets = targets_of(wanted, self.categories, self.relation_types, list(self.taxonomy.categories))
        if self.targets and not any(self.targets.values()):
            raise UsageError(
                f"profile {self.profile.name}: its targets want nothing of what is built; change `targets`"
            )
        self._selection = Selection(wanted.diversity, wanted.embedder) if self.targets else None
        self.course = self.growth()
        """The newest one."""
        self._portal: BlockingPortal | None = None
        self._again: dict[str, int] = {}

    # The stages, each with what it needs.

    @cached_property
    def seeds(self) -> Seeds:
        return Seeds(self.models, self.taxonomy, self.profile.seeds.per_call)

    @cached_property
    def decompose(self) -> Decompose:
        return Decompose(self.models, self.taxonomy, self._again)

    @cached_property
    def synthesize(self) -> Synthesize:
        return Synthesize(self.images, self.taxonomy, (self.profile.images.width, self.profile.images.height))

    @cached_property
    def allotment(self) -> Allotment:
        return Allotment(self.images, self.taxonomy, (self.profile.images.width, self.profile.images.height))

    @cached_property
    def verdicts(self) -> VerdictStore:
        return VerdictStore(self.store.files, self.name)

    @cached_property
    def filter(self) -> Filter:
        return Filter(self.checks, self.images, self.taxonomy, self.verdicts)

    @cached_property
    def compare(self) -> Compare:
        """Attaches the verdicts of the checks that compare the candidates of a pass."""
        return Compare(self.checks, self.released, self.verdicts)

    @cached_property
    def released(self) -> tuple[Peer, ...]:
        """Candidates of the earlier releases that the profile names; raises UsageError or ReleaseError."""
        return released_peers(self.store, self.name, self.profile.release.earlier)

    @cached_property
    def review_export(self) -> ReviewExport:
        return ReviewExport(self._selection)

    def review_import(self, items: Sequence[ReviewItem]) -> ReviewImport:
        return ReviewImport(items, self.decisions_on(items), self.profile.review.reviewers, self.targets)

    @cached_property
    def publish(self) -> Publish:
        return Publish(self.store, self.name, self.images, self.profile.release, self.made_with)

    @cached_property
    def decisions(self) -> DecisionLog:
        return DecisionLog(self.store, self.name)

    @cached_property
    def made_with(self) -> MadeWith:
        return describe(self.profile, self.taxonomy, self.prompts)

    # What goes through them.

    def growth(self) -> Growth:
        """The build's course from its beginning: what it writes and tries next."""
        profile = self.profile
        self.course = Growth(
            self.categories,
            self.relation_types,
            profile.seeds,
            profile.limits.max_iterations,
            profile.limits.candidates,
            profile.targets,
            self.targets,
        )
        return self.course

    def turned_down(self, passed: Sequence[Candidate]) -> dict[Cell, int]:
        """How many of these people have ever turned down, by cell; simulated reviewers' words are not made up for."""
        if not self.targets or self.profile.review.mode == "simulated":
            return {}
        refused = turned_down(self.decisions.read(), self.profile.review.reviewers)
        return Counter(c.cell for c in passed if (c.id, c.revision) in refused)

    def in_order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """The build's order: relation type by relation type, so that a changed one moves few shards."""
        rank = {name: place for place, name in enumerate(self.relation_types)}
        return sorted(candidates, key=lambda c: (rank[c.relation_type], c.risk_category, c.id))

    def decisions_on(self, items: Sequence[ReviewItem]) -> list[Decision]:
        """What reviewers said so far, or what the simulated ones say."""
        review = self.profile.review
        return simulate(items, review.reviewers) if review.mode == "simulated" else self.decisions.read()

    # Shards.

    def shards(self, stage: Stage[In, Out], round: int, records: Sequence[In]) -> list[Work]:
        """The pass of a stage cut into shards; stages that see the whole build at once get one."""
        if stage.name == "seeds":
            cuts = [[record] for record in records]
        elif stage.name in ROUND_STAGES:
            size = self.profile.limits.shard_size
            cuts = [list(records[start : start + size]) for start in range(0, len(records), size)]
        else:
            cuts = [list(records)]
        return [Work(stage, round, n, cut) for n, cut in enumerate(cuts)]

    def finished(self, work: Work) -> list[Any] | None:
        """The records of a shard that is there and still true; None if it has to be made."""
        shard = self.store.read_shard(self.name, work.stage.name, work.round, work.n, work.stage.returns)
        if shard is None or shard.key != work.key:
            return None
        if self.order.retry_dead and work.stage.name == decompose.Decompose.name:
            dead = [c for c in shard.records if c.problem is not None]
            self._again |= {c.id: c.sample + len(c.calls) for c in dead}
            if dead:
                return None
        return shard.records if work.stage.intact(shard.records) else None

    def account(self, records: Sequence[Any]) -> None:
        """Count the calls of finished records towards the budget."""
        for record in records:
            judged = [call for verdict in getattr(record, "verdicts", ()) for call in verdict.calls]
            for call in (*getattr(record, "calls", ()), *judged):
                self.ledger.note(call.id, call.cost)

    def run(self, work: Work) -> list[Any]:
        """Make one shard and keep it."""
        assert self._portal is not None, "shards run inside `with build.working()`"
        records = self._portal.call(work.stage.run, work.records)
        if isinstance(work.stage, Filter):
            records = self._portal.call(work.stage.settle, records)
        self.account(records)  # verdicts that were kept rest on calls that were paid for
        shard = Shard(work.key, records)
        self.store.write_shard(self.name, work.stage.name, work.round, work.n, shard)
        return records

    @contextmanager
    def working(self) -> Generator[None]:
        """Hold the build, note what it is made with, and run the event loop that all its shards share.

        One loop for all shards, so that connections, limits and running calls are shared too.
        """
        with build_lock(self.store.files, self.name), start_blocking_portal() as portal:
            self._portal = portal
            note = {
                "build": self.name,
                "order": self.order.model_dump(mode="json", exclude={"retry_dead"}),
                "profile": self.profile.model_dump(mode="json"),
                "risk_categories": self.categories,
                "relation_types": {n: self.taxonomy.relation_type(n).family for n in self.relation_types},
                "targets": [[*cell, count] for cell, count in self.targets.items()],
                "made_with": self.made_with.model_dump(mode="json"),
            }
            if self.store.read_json(f"builds/{self.name}/build.json") != note:
                self.store.write_json(f"builds/{self.name}/build.json", note)
            try:
                yield
            finally:
                portal.call(self.images.close)
                self._portal = None

    def finish(self, outcome: Outcome) -> None:
        """Forget the passes that an earlier, longer run of this build left behind."""
        self.store.keep_rounds(self.name, ("seeds",), last=outcome.writings - 1)
        self.store.keep_rounds(self.name, ROUND_STAGES, last=outcome.rounds)


class Pass:
    """One pass of a stage over its records: which shards are finished, which are missing, and how far it is."""

    def __init__(self, build: Build, stage: Stage[In, Out], records: Sequence[In], round: int) -> None:
        works = build.shards(stage, round, records)
        build.store.keep_shards(build.name, stage.name, round, len(works))
        found = {work.n: build.finished(work) for work in works}
        self._results = {n: result for n, result in found.items() if result is not None}
        self.missing = [work for work in works if work.n not in self._results]
        build.account(self.records())
        self._step = Step(stage.name, round, 0, len(records))
        self._tell(sum(len(work.records) for work in works if work.n in self._results))

    def done(self, work: Work, records: list[Any]) -> None:
        """Note a shard that was made."""
        self._results[work.n] = records
        self._tell(len(work.records))

    def records(self) -> list[Any]:
        """The records of all shards, in order."""
        return [record for n in sorted(self._results) for record in self._results[n]]

    def _tell(self, more: int) -> None:
        self._step = replace(self._step, done=self._step.done + more)
        report(self._step)


class Unfinished(Exception):
    """Raised by `only_finished` at the first pass of a stage that is not finished."""

    def __init__(self, stage: str, round: int, records: Sequence[Any], missing: Sequence[Work]) -> None:
        super().__init__(stage)
        self.stage = stage
        self.round = round
        self.records = records
        self.missing = missing


def only_finished(build: Build, stage: Stage[In, Out], records: Sequence[In], round: int = 0) -> list[Out]:
    """The records of a pass that is finished; raises Unfinished, and makes nothing, if it is not."""
    works = build.shards(stage, round, records)
    found = [(work, build.finished(work)) for work in works]
    if missing := [work for work, result in found if result is None]:
        raise Unfinished(stage.name, round, records, missing)
    return [record for _, result in found for record in result or ()]


def open_build(order: BuildOrder) -> Build:
    """Put a build together; raises UsageError for what the user got wrong."""
    return Build(order)


def _check_roles(profile: Profile) -> None:
    """Raise for a role that nothing plays, and for a budget that nobody can keep account of."""
    for role, choice in profile.models.items():
        if role not in ROLES and role != ILLUSTRATOR and not role.startswith(REFERENCE):
            raise UnknownName("role", role, [*ROLES, ILLUSTRATOR, REFERENCE], where=f"profile {profile.name}")
        if profile.limits.cost is not None and choice.prices is None and choice.backend != "offline":
            raise UsageError(
                f"profile {profile.name}: --max-cost needs the prices of every model, and {role!r} has none; "
                f"add models.{role}.prices, or limit the calls with --max-calls"
            )


def _folder(name: str) -> Path:
    folder = Path(name)
    if not folder.is_dir():
        raise BadFile(folder, "is named in the profile's 'folders' and is no folder; make it or take it out")
    return folder
