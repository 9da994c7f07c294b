"""A build, opened: profile, taxonomy, prompts, store, models, images, checks and stages, each made when it is needed.

Everything a stage needs is made here and passed in. Opening is cheap: it checks names, calls nothing, writes nothing,
and needs no key, package of an extra, weights or network.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from mirsb_build.build.environment import describe
from mirsb_build.build.targets import Growth, targets_of
from mirsb_build.checks import open_checks
from mirsb_build.config.profiles import Profile, check_build_name, load_profile
from mirsb_build.config.prompts import ILLUSTRATOR, REFERENCE, ROLES, Prompts, load_prompts
from mirsb_build.config.taxonomy import Taxonomy, load_taxonomy
from mirsb_build.errors import BadFile, UnknownName, UsageError
from mirsb_build.history import BuildNote
from mirsb_build.images import BackendContext, Images, find_backend, open_backend
from mirsb_build.llm import Ledger, Models, open_models, text_models
from mirsb_build.ports import AnyCheck, Peer, TextModel
from mirsb_build.records import BuildOrder, Candidate, Cell, Decision, MadeWith, ReviewItem
from mirsb_build.release import released_peers
from mirsb_build.review import DecisionLog, simulate, turned_down
from mirsb_build.review.selection import Selection
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
from mirsb_build.store import Store
from mirsb_build.store.verdicts import VerdictStore


class Context:
    """One build and everything that works on it."""

    def __init__(self, order: BuildOrder) -> None:
        """Raises UsageError for what the profile or the order got wrong."""
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
        self.targets = self._targets()
        self.store = Store(order.store)
        self.ledger = Ledger(self.name, self.profile.limits.cost, self.profile.limits.calls)
        self._clients = _Clients(self.profile, self.store)
        self.models = Models(
            self._clients,
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
        self._check_images()
        _ = self.checks

    def _targets(self) -> dict[Cell, int]:
        """What each cell is to have; raises UsageError where that is nothing of what is built."""
        wanted = self.profile.targets
        for name in (*wanted.relation_types, *(name for row in wanted.cells.values() for name in row)):
            self.taxonomy.relation_type(name)
        for name in wanted.cells:
            self.taxonomy.category(name)
        targets = targets_of(wanted, self.categories, self.relation_types, list(self.taxonomy.categories))
        if targets and not any(targets.values()):
            raise UsageError(
                f"profile {self.profile.name}: its targets want nothing of what is built; change `targets`"
            )
        return targets

    def _check_images(self) -> None:
        """Raise for an image backend, options, layouts or a role that there are not; nothing is opened."""
        kind, _ = find_backend(self.profile.images)
        layouts: frozenset[str] = kind.layouts
        if kind.role and kind.role not in self.profile.models:
            backend = self.profile.images.backend
            raise UsageError(
                f"images.backend: {backend} needs models.{kind.role} in the profile; add it, or choose another backend"
            )
        for name in self.relation_types:
            layout = self.taxonomy.relation_type(name).layout
            if layouts and layout not in layouts:
                raise UnknownName("layout", layout, layouts, where=f"relation type {name}")

    def check_ready(self) -> None:
        """Open all that a run needs, so that a missing key or package is named before anything is made."""
        for role in self.profile.models:
            self._clients[role]
        _ = self.images, self.selection

    # What the stages are made with.

    @cached_property
    def images(self) -> Images:
        """The image backend behind the call cache and the blobs."""
        backend = open_backend(self.profile.images, BackendContext(self.store, self.models, self.taxonomy.policy))
        return Images(backend, self.store, lambda call: self.ledger.note(call.id, call.cost))

    @cached_property
    def checks(self) -> list[AnyCheck]:
        return open_checks(self.profile.checks, self.taxonomy, self.models)

    @cached_property
    def selection(self) -> Selection | None:
        """What ranks the candidates of a build with targets."""
        wanted = self.profile.targets
        return Selection(wanted.diversity, wanted.embedder) if self.targets else None

    @cached_property
    def verdicts(self) -> VerdictStore:
        """Verdicts that were given before."""
        return VerdictStore(self.store.files, self.name)

    @cached_property
    def released(self) -> tuple[Peer, ...]:
        """Candidates of the earlier releases that the profile names; raises UsageError or ReleaseError."""
        return released_peers(self.store, self.name, self.profile.release.earlier)

    @cached_property
    def decisions(self) -> list[Decision]:
        """Reviewers' decisions, read once: a run decides with those it found when it began, whoever saves meanwhile."""
        return DecisionLog(self.store, self.name).read()

    def read_anew(self) -> None:
        """Ask the store again what others may have changed in it: which blobs there are, what people decided."""
        self.store.list_blobs_anew()
        self.__dict__.pop("decisions", None)

    @cached_property
    def made_with(self) -> MadeWith:
        return describe(self.profile, self.taxonomy, self.prompts)

    @property
    def note(self) -> BuildNote:
        """What build.json is to say."""
        return BuildNote(
            build=self.name,
            order=self.order.model_copy(update={"retry_dead": False}),
            profile=self.profile,
            risk_categories=tuple(self.categories),
            relation_types={n: self.taxonomy.relation_type(n).family for n in self.relation_types},
            targets=tuple((*cell, count) for cell, count in self.targets.items()),
            made_with=self.made_with,
        )

    # The stages, and the two steps that see a whole pass.

    @cached_property
    def seeds(self) -> Seeds:
        return Seeds(self.models, self.taxonomy, self.profile.seeds.per_call)

    @cached_property
    def decompose(self) -> Decompose:
        return Decompose(self.models, self.taxonomy, self.order.retry_dead)

    @cached_property
    def allotment(self) -> Allotment:
        """The step before synthesize: pictures of a stock, chosen for all drafts of a pass."""
        return Allotment(self.images, self.taxonomy, self._size)

    @cached_property
    def synthesize(self) -> Synthesize:
        return Synthesize(self.images, self.taxonomy, self._size)

    @property
    def _size(self) -> tuple[int, int]:
        return self.profile.images.width, self.profile.images.height

    @cached_property
    def compare(self) -> Compare:
        """The step before filter: the candidates of a pass compared with one another and with those that passed."""
        return Compare(self.checks, self.released, self.verdicts)

    @cached_property
    def filter(self) -> Filter:
        return Filter(self.checks, self.images, self.taxonomy, self.verdicts)

    @cached_property
    def review_export(self) -> ReviewExport:
        return ReviewExport(self.selection)

    def review_import(self, items: Sequence[ReviewItem]) -> ReviewImport:
        return ReviewImport(items, self.decisions_on(items), self.profile.review.reviewers, self.targets)

    @cached_property
    def publish(self) -> Publish:
        return Publish(self.store, self.name, self.images, self.profile.release, self.made_with)

    def stage_of(self, name: str) -> Stage[Any, Any]:
        """A stage whose shards may be made anywhere, by its name."""
        stages: Mapping[str, Stage[Any, Any]] = {s.name: s for s in (self.synthesize, self.filter)}
        return stages[name]

    # What goes through them.

    def growth(self) -> Growth:
        """The build's course from its beginning: what it writes and tries next."""
        profile = self.profile
        return Growth(
            self.categories,
            self.relation_types,
            profile.seeds,
            profile.limits.max_iterations,
            profile.limits.candidates,
            profile.targets,
            self.targets,
        )

    def turned_down(self, passed: Sequence[Candidate]) -> dict[Cell, int]:
        """Count those of `passed` that people have ever turned down, by cell; simulated rejections do not count."""
        if not self.targets or self.profile.review.mode == "simulated":
            return {}
        refused = turned_down(self.decisions, self.profile.review.reviewers)
        return Counter(c.cell for c in passed if (c.id, c.revision) in refused)

    def in_order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Sort into the build's order: relation type by relation type, so that a changed one moves few shards."""
        rank = {name: place for place, name in enumerate(self.relation_types)}
        return sorted(candidates, key=lambda c: (rank[c.relation_type], c.risk_category, c.id))

    def decisions_on(self, items: Sequence[ReviewItem]) -> list[Decision]:
        """Reviewers' decisions so far, or those of the simulated ones."""
        review = self.profile.review
        return simulate(items, review.reviewers) if review.mode == "simulated" else self.decisions


class _Clients(Mapping[str, TextModel]):
    """The text models by role, opened when the first of them is asked: looking at a build takes no key."""

    def __init__(self, profile: Profile, store: Store) -> None:
        self._profile = profile
        self._store = store

    @cached_property
    def _opened(self) -> dict[str, TextModel]:
        return open_models(self._profile.models, self._store)

    def __getitem__(self, role: str) -> TextModel:
        return self._opened[role]

    def __iter__(self) -> Iterator[str]:
        return iter(self._profile.models)

    def __len__(self) -> int:
        return len(self._profile.models)


def open_context(order: BuildOrder) -> Context:
    """Open a build; raises UsageError for what the user got wrong."""
    return Context(order)


def _check_roles(profile: Profile) -> None:
    """Raise for a role that nothing plays, and for a budget that nobody can keep account of."""
    known = text_models()
    for role, choice in profile.models.items():
        if role not in ROLES and role != ILLUSTRATOR and not role.startswith(REFERENCE):
            raise UnknownName("role", role, [*ROLES, ILLUSTRATOR, REFERENCE], where=f"profile {profile.name}")
        if choice.backend not in known:
            raise UnknownName("text model backend", choice.backend, known, where=f"model of role {role}")
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
