"""The funnel of a build: how many candidates there are, where they stand, and what they took."""

from __future__ import annotations

import math
from collections import Counter

from mirsb_build.history import History, read_finish
from mirsb_build.records import ModelCall, Record, Usage
from mirsb_build.store import Store


class Cell(Record):
    """One (risk category, relation type) cell; `candidates = passed + failed + dead + open`."""

    risk_category: str
    relation_type: str
    candidates: int
    passed: int
    failed: int
    dead: int
    open: int
    accepted: int
    turned_down: int
    """Rejected, or to be revised."""
    target: int | None = None
    """Instances that it is to have; None where no target is given."""
    missing: int = 0
    """How many it has too few, those that reviewers turned down not counted."""
    why_missing: str = ""


class CheckCount(Record):
    """How one check judged in one round."""

    check: str
    round: int
    passed: int
    failed: int
    abstained: int


class CellFailures(Record):
    """How often one check failed candidates of one cell in one round."""

    check: str
    risk_category: str
    relation_type: str
    round: int
    failed: int
    judged: int
    """Those that it passed or failed."""


class Spend(Record):
    """What one role's model took in one stage and round."""

    role: str
    model: str
    stage: str
    round: int
    """0 for the seeds."""
    calls: int
    usage: Usage
    cost: float


class Funnel(Record):
    """What `mirsb status` says; `candidates = passed + failed + dead + open`."""

    build: str
    profile: str
    stage: str
    seeds: int
    seeds_missing: dict[str, int]
    """Risk category -> seed queries that were ordered and that the seed writer did not bring."""
    candidates: int
    passed: int
    failed: int
    dead: int
    open: int
    excluded: int
    """Seeds and candidates that the policy dropped; they are in none of the other counts."""
    excluded_by_rule: dict[str, int]
    passed_in_round: dict[int, int]
    control: int
    """Candidates that only the probe of reference models failed, in their last round: kept to compare with."""
    awaiting_review: int
    accepted: int
    rejected: int
    to_revise: int
    reserve: int
    """Candidates that passed and are not needed as long as none of their cell is rejected."""
    simulated_review: bool
    released: int
    release: str | None
    """Version of the newest release."""
    calls: int
    tokens: int
    cost: float
    """In the currency of the profile's prices."""
    spending: tuple[Spend, ...]
    replies: dict[str, int]
    """How many replies were what: usable, fenced, truncated, refused, ..."""
    dead_because: dict[str, int]
    """Why candidates are dead, and how many."""
    images: int
    checks: tuple[CheckCount, ...]
    failures: tuple[CellFailures, ...]
    """Of every check, cell and round in which it failed any."""
    cells: tuple[Cell, ...]
    example: str | None = None
    """Id of an instance to look at: the accepted one that took the most rounds."""


def read_funnel(store: Store, build: str) -> Funnel:
    """The funnel of a build, as its newest run left it, or counted where one is at work or was stopped."""
    finish = read_finish(store, build)
    return Funnel.model_validate(finish.summary) if finish else funnel(History(store, build))


def funnel(history: History) -> Funnel:
    """Count a build."""
    states = {id: history.state(candidate) for id, candidate in history.candidates.items()}
    total = Counter(states.values())
    outcomes = Counter(instance.outcome for instance in history.instances.values())
    usage = sum((call.usage for call in history.calls()), Usage())
    release = history.releases[-1] if history.releases else None
    attempts = [attempt for group in history.attempts.values() for attempt in group]
    return Funnel(
        build=history.build,
        profile=history.note.profile.name,
        stage=history.stage,
        seeds=sum(len(batch.seeds) for batch in history.batches),
        seeds_missing=dict(history.seeds_missing),
        candidates=len(states) - total["excluded"],
        passed=total["passed"],
        failed=total["failed"],
        dead=total["dead"],
        open=total["open"],
        excluded=sum(1 for _ in history.exclusions()),
        excluded_by_rule=dict(sorted(Counter(e.rule for e in history.exclusions()).items())),
        passed_in_round=dict(sorted(Counter(a.round for a in attempts if a.passed).items())),
        control=sum(attempts[-1].control for attempts in history.attempts.values()),
        awaiting_review=total["passed"] - sum(outcomes.values()) + outcomes["awaiting"],
        accepted=outcomes["accepted"],
        rejected=outcomes["rejected"],
        to_revise=outcomes["revise"],
        reserve=outcomes["reserve"],
        simulated_review=any(i.simulated for i in history.instances.values()),
        released=release.instances if release else 0,
        release=release.version if release else None,
        calls=sum(1 for _ in history.calls()),
        tokens=usage.prompt_tokens + usage.completion_tokens,
        cost=math.fsum(call.cost for call in history.calls()),
        spending=_spending(history),
        replies=dict(Counter(call.outcome for call in history.calls()).most_common()),
        dead_because=dict(Counter(p for a in history.attempts.values() if (p := a[-1].problem)).most_common()),
        images=len({p.image.id for a in attempts for p in a.pictures if p.image}),
        checks=_checks(history),
        failures=_failures(history),
        cells=_cells(history, states),
        example=_example(history),
    )


def _example(history: History) -> str | None:
    accepted = [id for id, instance in history.instances.items() if instance.outcome == "accepted"]
    return max(accepted, key=lambda id: len(history.attempts[id]), default=None)


def _checks(history: History) -> tuple[CheckCount, ...]:
    verdicts = Counter(
        (v.check, attempt.round, v.outcome)
        for attempts in history.attempts.values()
        for attempt in attempts
        for v in attempt.verdicts
    )
    names = dict.fromkeys([*history.note.profile.checks, *(check for check, _, _ in verdicts)])
    rounds = sorted({round for _, round, _ in verdicts})
    return tuple(
        CheckCount(
            check=name,
            round=round,
            passed=verdicts[name, round, "pass"],
            failed=verdicts[name, round, "fail"],
            abstained=verdicts[name, round, "abstain"],
        )
        for name in names
        for round in rounds
    )


def _failures(history: History) -> tuple[CellFailures, ...]:
    verdicts = Counter(
        (v.check, attempt.cell, attempt.round, v.outcome)
        for attempts in history.attempts.values()
        for attempt in attempts
        for v in attempt.verdicts
    )
    return tuple(
        CellFailures(
            check=check,
            risk_category=cell[0],
            relation_type=cell[1],
            round=round,
            failed=failed,
            judged=failed + verdicts[check, cell, round, "pass"],
        )
        for (check, cell, round, outcome), failed in sorted(verdicts.items())
        if outcome == "fail"
    )


def _spending(history: History) -> tuple[Spend, ...]:
    groups: dict[tuple[str, int, str, str], list[ModelCall]] = {}
    for stage, round, call in history.calls_by_stage():
        groups.setdefault((stage, round, call.role, call.model), []).append(call)
    return tuple(
        Spend(
            role=role,
            model=model,
            stage=stage,
            round=round,
            calls=len(calls),
            usage=sum((call.usage for call in calls), Usage()),
            cost=math.fsum(call.cost for call in calls),
        )
        for (stage, round, role, model), calls in sorted(groups.items(), key=lambda group: group[0][1:])
    )


def _cells(history: History, states: dict[str, str]) -> tuple[Cell, ...]:
    counts = Counter((candidate.cell, states[id]) for id, candidate in history.candidates.items())
    reviewed = Counter((i.candidate.cell, i.outcome) for i in history.instances.values())
    cells: list[Cell] = []
    for category, relation in ((c, r) for c in history.categories for r in history.relation_types):
        by_state = Counter({state: counts[(category, relation), state] for state in set(states.values())})
        target = history.targets.get((category, relation))
        turned_down = reviewed[(category, relation), "rejected"] + reviewed[(category, relation), "revise"]
        cells.append(
            Cell(
                risk_category=category,
                relation_type=relation,
                candidates=by_state.total() - by_state["excluded"],
                passed=by_state["passed"],
                failed=by_state["failed"],
                dead=by_state["dead"],
                open=by_state["open"],
                accepted=reviewed[(category, relation), "accepted"],
                turned_down=turned_down,
                target=target,
                missing=max(0, (target or 0) - by_state["passed"] + turned_down),
            )
        )
    tried = Counter(candidate.cell for candidate in history.candidates.values())
    return tuple(c.model_copy(update={"why_missing": _why(c, tried, history)}) if c.missing else c for c in cells)


def _why(cell: Cell, tried: Counter[tuple[str, str]], history: History) -> str:
    """Why a cell has fewer instances than wanted; `tried` counts what the policy excluded too."""
    profile = history.note.profile
    limits, tries, here = profile.limits, profile.targets.tries, tried[cell.risk_category, cell.relation_type]
    simulated = profile.review.mode == "simulated"
    excluded = f", {here - cell.candidates} of them excluded by policy" if here > cell.candidates else ""
    if limits.candidates and tried.total() >= limits.candidates:
        return f"the limit of {limits.candidates} candidates is reached"
    if here >= tries * ((cell.target or 0) + cell.turned_down):
        return f"{here} candidates were tried{excluded}, {tries} for each wanted instance"
    if history.seeds_missing[cell.risk_category]:
        return f"the seed writer brings no more seed queries of {cell.risk_category}"
    if simulated and cell.missing <= cell.turned_down:
        return f"simulated reviewers rejected {cell.turned_down}"
    if cell.missing <= cell.turned_down:
        return f"reviewers turned down {cell.turned_down}; `mirsb build {history.build}` makes up for them"
    budget = [f"{name} {value}" for name, value in (("cost", limits.cost), ("calls", limits.calls)) if value]
    return "the build has not got there yet" + (f" (budget: {', '.join(budget)})" if budget else "")
