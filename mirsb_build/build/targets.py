"""Targets: how many instances each cell is to have, and what is written and tried next until it has them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice

from more_itertools import interleave_longest

from mirsb_build.config.profiles import SeedLimits, Targets
from mirsb_build.records import Candidate, Cell, SeedBatch, SeedOrder, SeedQuery
from mirsb_build.records.crossing import cross

EXPECTED_YIELD = 0.5
"""Share of the candidates that is expected to pass a round before any was measured (published: 49.6 % over all)."""
CONFIDENCE = 4
"""Measured attempts that weigh as much as what was expected before them."""


def targets_of(
    choice: Targets, categories: Sequence[str], relation_types: Sequence[str], all_categories: Sequence[str]
) -> dict[Cell, int]:
    """What each cell of a build is to have; nothing where no target is given.

    What is wanted of a relation type is spread over all categories there are; a build of some has their part of it.
    """
    if not choice.given:
        return {}
    wanted: dict[Cell, int] = {}
    for relation_type in relation_types:
        whole = choice.relation_types.get(relation_type)
        for place, category in enumerate(all_categories):
            spread = None if whole is None else (whole + len(all_categories) - 1 - place) // len(all_categories)
            told = choice.cells.get(category, {}).get(relation_type, spread)
            wanted[category, relation_type] = (choice.per_cell or 0) if told is None else told
    return {(category, r): wanted[category, r] for r in relation_types for category in categories}


class Yields:
    """How many of the candidates pass a round, measured cell by cell."""

    def __init__(self) -> None:
        self._tried: Counter[str | Cell] = Counter()
        self._passed: Counter[str | Cell] = Counter()

    def note(self, attempt: Candidate) -> None:
        """Count one candidate in one round; one that is dead or excluded has not passed."""
        for key in (attempt.cell, attempt.relation_type):
            self._tried[key] += 1
            self._passed[key] += attempt.passed

    def of(self, cell: Cell) -> float:
        """The share that passes: the cell's, drawn towards its relation type's, and that towards the expected one."""
        share = EXPECTED_YIELD
        for key in (cell[1], cell):
            share = (self._passed[key] + CONFIDENCE * share) / (self._tried[key] + CONFIDENCE)
        return share


class Growth:
    """What a build writes and tries next: all it has, or, with targets, what its short cells need.

    `orders` says which seed queries to write, `next_round` which candidates go into the next round; `add_seeds` and
    `add_judged` take the results. The same results give the same questions, so that a build that was stopped goes on
    where it was. With targets, a cell that is short gets as many new candidates as its measured yield asks for, beside
    those still open; it gets no more once it has its instances, or `tries` candidates for each, or when the build has
    `limit` candidates or the seed writer brings nothing new. `raise_targets` takes the rejections of review, which are
    made up for once all cells have what was wanted at first.
    """

    def __init__(
        self,
        categories: Sequence[str],
        relation_types: Sequence[str],
        seeds: SeedLimits,
        max_iterations: int,
        limit: int | None = None,
        choice: Targets | None = None,
        targets: Mapping[Cell, int] | None = None,
    ) -> None:
        self._categories = categories
        self._relation_types = relation_types
        self._seed_limits = seeds
        self._max_iterations = max_iterations
        self._limit = limit
        self._choice = choice or Targets()
        self._first_targets = dict(targets or {})
        self._targets = dict(self._first_targets)
        self._seeds: dict[str, list[SeedQuery]] = {name: [] for name in categories}
        self._dry: set[str] = set()
        self._used: Counter[Cell] = Counter()
        self._open: dict[Cell, list[Candidate]] = {}
        self._yields = Yields()
        self._passed: Counter[Cell] = Counter()
        self.passed: list[Candidate] = []
        self.candidates = 0
        """How many there were so far."""
        self.rounds = 0
        """How many there were so far."""

    # What came of it.

    def add_seeds(self, batches: Sequence[SeedBatch]) -> None:
        """Take in the seed queries of one pass; a category that brought fewer than ordered brings no more."""
        for batch in batches:
            self._seeds[batch.risk_category] += batch.seeds
            if len(batch.seeds) < batch.wanted:
                self._dry.add(batch.risk_category)

    def add_judged(self, candidates: Sequence[Candidate]) -> None:
        """Take in the candidates of one round."""
        for candidate in candidates:
            self._yields.note(candidate)
            self._passed[candidate.cell] += candidate.passed
            if candidate.alive and not candidate.passed and candidate.round < self._max_iterations:
                self._open.setdefault(candidate.cell, []).append(candidate)
        self.passed += [c for c in candidates if c.passed]

    def raise_targets(self, refused: Mapping[Cell, int]) -> bool:
        """Raise the targets by the number of instances rejected in review; return False if nothing changed."""
        targets = {cell: first + refused.get(cell, 0) if first else 0 for cell, first in self._first_targets.items()}
        more = any(targets[cell] > self._targets[cell] for cell in targets)
        if more:
            self._targets = targets
        return more

    # What is next.

    def orders(self) -> list[SeedOrder]:
        """The seed queries to be written before the next round; none where there are enough."""
        first, new = not any(self._seeds.values()), self._new
        orders: list[SeedOrder] = []
        for category in self._categories:
            known = self._seeds[category]
            count = self._seed_limits.per_category if first and not self._targets else 0
            if self._targets:
                need = max((self._used[cell] + n for cell, n in new.items() if cell[0] == category), default=0)
                count = math.ceil(max(0, need - len(known)) / self._seed_limits.per_call) * self._seed_limits.per_call
            if count and category not in self._dry:
                told = tuple(seed.text for seed in known)
                whole = bool(self._targets)
                orders.append(SeedOrder(risk_category=category, count=count, known=told, whole=whole))
        return orders

    def next_round(self) -> list[Candidate]:
        """The candidates that go into the next round; none when the build has all that it can get."""
        fresh = self._fresh() if self._targets else [] if self.candidates else self._everything()
        self.candidates += len(fresh)
        self._used.update(candidate.cell for candidate in fresh)
        wanted = [c for cell in self._wanted_open for c in self._open.pop(cell)]
        self.rounds += bool(fresh or wanted)
        return [*fresh, *wanted]

    @property
    def expected(self) -> int:
        """How many candidates the next round is expected to have, where the seed writer brings what is ordered."""
        return self._new.total() + sum(len(self._open[cell]) for cell in self._wanted_open)

    @property
    def _wanted_open(self) -> list[Cell]:
        """Cells whose open candidates are still wanted."""
        return [cell for cell in self._open if not self._targets or self._is_short(cell)]

    @property
    def _new(self) -> Counter[Cell]:
        """How many new candidates each short cell is to get; dealt out in turn where the limit does not do for all."""
        needs = {cell: need for cell in self._targets if (need := self._need(cell)) > 0}
        if self._limit is None or self.candidates + sum(needs.values()) <= self._limit:
            return Counter(needs)
        in_turn = interleave_longest(*([cell] * need for cell, need in needs.items()))
        return Counter(islice(in_turn, max(0, self._limit - self.candidates)))

    def _everything(self) -> list[Candidate]:
        seeds = [seed for name in self._categories for seed in self._seeds[name]]
        return cross(seeds, self._categories, self._relation_types, self._limit)

    def _fresh(self) -> list[Candidate]:
        """The next seed queries of each short cell."""
        new: list[Candidate] = []
        for cell, count in self._new.items():
            seeds = self._seeds[cell[0]][self._used[cell] :][:count]
            new += [Candidate(seed_query=seed, relation_type=cell[1]) for seed in seeds]
        return new

    def _need(self, cell: Cell) -> int:
        target = self._targets[cell]
        if not target or not self._is_short(cell):
            return 0
        share = self._yields.of(cell)
        coming = sum(1 - (1 - share) ** (self._max_iterations - c.round) for c in self._open.get(cell, ()))
        missing = math.ceil(target * (1 + self._choice.surplus)) - self._passed[cell] - coming
        need = math.ceil(missing / (1 - (1 - share) ** self._max_iterations)) if missing > 0 else 0
        need = min(need, target * self._choice.tries - self._used[cell])
        return min(need, len(self._seeds[cell[0]]) - self._used[cell]) if cell[0] in self._dry else need

    def _is_short(self, cell: Cell) -> bool:
        return self._passed[cell] < self._targets.get(cell, 0)
