"""What the report draws, as numbers: bars as shares of their longest one, the yield grid as steps of a colour scale."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import get_args

from mirsb_build.config.taxonomy import Family
from mirsb_build.records import Record
from mirsb_build.views.funnel import Cell, CellFailures, CheckCount, Funnel

SLIVER = 0.004
"""Share of the width that a part with anything in it has at least: one of 2,676 has to be seen."""

FULL_YIELD = 5
"""The last step of the colour scale: every candidate of the cell has passed."""

FAMILIES: tuple[str, ...] = get_args(Family)


class Part(Record):
    """A stretch of a bar; `start` and `width` are percentages of the drawing's width."""

    name: str
    count: int
    start: float
    width: float


class Bar(Record):
    """A row of a bar chart; with more than one part, `count` is their sum."""

    name: str
    count: int
    parts: tuple[Part, ...]
    detail: bool = False
    """A row that breaks down the one before it."""


def bar(name: str, counts: Mapping[str, int], longest: int, *, after: int = 0, detail: bool = False) -> Bar:
    """A bar with a part a count, beginning `after` so many; `longest` fills the width."""
    total = sum(counts.values())
    starts = accumulate(counts.values(), initial=after)
    parts = tuple(
        Part(
            name=part,
            count=count,
            start=_percent(start, longest),
            width=max(_percent(count, longest), 100 * SLIVER) if count else 0.0,
        )
        for (part, count), start in zip(counts.items(), starts, strict=False)
    )
    return Bar(name=name, count=total, parts=parts, detail=detail)


def _percent(count: int, whole: int) -> float:
    return round(100 * count / whole, 2) if whole else 0.0


def funnel_bars(funnel: Funnel) -> tuple[Bar, ...]:
    """From candidates to the release; the rounds stand one after the other, as they add up to what passed."""
    states = {"passed": funnel.passed, "failed": funnel.failed, "dead": funnel.dead, "open": funnel.open}
    outcomes = {
        "accepted": funnel.accepted,
        "rejected": funnel.rejected,
        "to revise": funnel.to_revise,
        "awaiting review": funnel.awaiting_review,
        "in reserve": funnel.reserve,
    }
    longest = max(funnel.candidates, funnel.released, sum(funnel.passed_in_round.values()))
    rounds = funnel.passed_in_round
    before = accumulate(rounds.values(), initial=0)
    return (
        bar("Candidates", states, longest),
        *(
            bar(f"passed in round {round}", {"passed": count}, longest, after=start, detail=True)
            for (round, count), start in zip(rounds.items(), before, strict=False)
        ),
        bar("Passed", outcomes, longest),
        bar("Accepted", {"accepted": funnel.accepted}, longest),
        bar("Released", {"released": funnel.released}, longest),
    )


def check_bars(checks: Sequence[CheckCount]) -> dict[str, tuple[Bar, ...]]:
    """Check -> a bar for each round in which it judged anything."""
    judged = [(c, {"passed": c.passed, "failed": c.failed, "abstained": c.abstained}) for c in checks]
    longest = max((sum(counts.values()) for _, counts in judged), default=0)
    rows: dict[str, list[Bar]] = {}
    for check, counts in judged:
        if any(counts.values()):
            rows.setdefault(check.check, []).append(bar(f"round {check.round}", counts, longest))
    return {name: tuple(bars) for name, bars in rows.items()}


class Yield(Record):
    """Passed and accepted of so many candidates; `step` places it on the colour scale, None where there are none."""

    name: str
    candidates: int
    passed: int
    accepted: int
    step: int | None


class YieldRow(Record):
    """A relation type: one yield a risk category, and all of them together."""

    relation_type: str
    cells: tuple[Yield, ...]
    total: Yield


class FailureCell(Record):
    """How often a check failed candidates of a cell; `step` places that on the colour scale, None where never."""

    failed: int
    step: int | None
    told: str
    """Round by round."""


class FailureGrid(Record):
    """Where one check failed candidates: relation types crossed with risk categories."""

    check: str
    failed: int
    rows: dict[str, tuple[FailureCell, ...]]
    """Relation type -> one cell a risk category."""


class YieldGrid(Record):
    """Relation types by family, crossed with risk categories."""

    risk_categories: tuple[str, ...]
    families: dict[str, tuple[YieldRow, ...]]
    totals: tuple[Yield, ...]
    """One a risk category."""


def yield_of(name: str, cells: Sequence[Cell]) -> Yield:
    """What the cells have yielded together."""
    candidates, passed = sum(c.candidates for c in cells), sum(c.passed for c in cells)
    step = None if not candidates else FULL_YIELD * passed // candidates
    return Yield(name=name, candidates=candidates, passed=passed, accepted=sum(c.accepted for c in cells), step=step)


def yield_grid(cells: Sequence[Cell], families: Mapping[str, Sequence[str]]) -> YieldGrid:
    """The grid with one row a relation type of `families`."""
    categories = tuple(dict.fromkeys(cell.risk_category for cell in cells))
    found = {(cell.relation_type, cell.risk_category): cell for cell in cells}

    def row(relation: str) -> YieldRow:
        here = [found[relation, category] for category in categories]
        yields = tuple(yield_of(cell.risk_category, [cell]) for cell in here)
        return YieldRow(relation_type=relation, cells=yields, total=yield_of("all risk categories", here))

    return YieldGrid(
        risk_categories=categories,
        families={family: tuple(row(relation) for relation in names) for family, names in families.items()},
        totals=tuple(yield_of(name, [c for c in cells if c.risk_category == name]) for name in categories),
    )


def failure_grids(
    failures: Sequence[CellFailures], cells: Sequence[Cell], families: Mapping[str, Sequence[str]]
) -> tuple[FailureGrid, ...]:
    """One a check that failed anything, the strictest first, with rows in the order of `families`.

    Full colour is as many failures as candidates; a candidate can fail once in every round.
    """
    categories = tuple(dict.fromkeys(cell.risk_category for cell in cells))
    candidates = {(cell.risk_category, cell.relation_type): cell.candidates for cell in cells}
    found: dict[tuple[str, str, str], list[CellFailures]] = {}
    for one in failures:
        found.setdefault((one.check, one.risk_category, one.relation_type), []).append(one)

    def cell(check: str, category: str, relation: str) -> FailureCell:
        here = found.get((check, category, relation), [])
        failed = sum(one.failed for one in here)
        step = FULL_YIELD * failed // max(1, candidates[category, relation]) if failed else None
        told = ", ".join(f"round {one.round}: {one.failed} of {one.judged}" for one in here)
        return FailureCell(failed=failed, step=min(FULL_YIELD, step) if step is not None else None, told=told)

    totals: Counter[str] = Counter()
    for one in failures:
        totals[one.check] += one.failed
    return tuple(
        FailureGrid(
            check=check,
            failed=failed,
            rows={r: tuple(cell(check, c, r) for c in categories) for names in families.values() for r in names},
        )
        for check, failed in totals.most_common()
    )


def by_family(families: Mapping[str, str]) -> dict[str, list[str]]:
    """Relation types by family, the families in the method's order; `families` maps a relation type to its family."""
    groups = {name: [relation for relation, family in families.items() if family == name] for name in FAMILIES}
    return {name: relations for name, relations in groups.items() if relations}
