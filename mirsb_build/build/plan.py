"""What a build would do next, without doing it: calls, tokens and images, exact as far as the store can tell."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

from mirsb_build.build.context import Context
from mirsb_build.build.method import seven_stages
from mirsb_build.build.scheduler import Unfinished, only_finished
from mirsb_build.build.targets import EXPECTED_YIELD, Growth
from mirsb_build.errors import UnknownName
from mirsb_build.history import History
from mirsb_build.llm import cost_of
from mirsb_build.records import Candidate, Origin, Picture, Record, SeedQuery, Usage
from mirsb_build.stages import Stage
from mirsb_build.stages.estimate import Estimate, RoleCalls


class PlanLine(Record):
    """One pass of a stage."""

    stage: str
    round: int
    records: int
    """Seed queries, candidates or instances that go in."""
    calls: int = 0
    """Model calls to be made."""
    cached_calls: int = 0
    """Model calls that the cache answers."""
    prompt_tokens: int = 0
    """Of the calls to be made, estimated from the rendered prompts; 0 where those are not known yet."""
    images: int = 0
    cost: float = 0.0
    """Expected, of the calls to be made, in the currency of the prices."""
    expected: bool = False
    """True where the numbers rest on the expected yield, not on what is in the store."""
    batch_saving: float = 0.0
    """What of the cost would be saved by `mode: batch`."""


class Plan(Record):
    """What is left of a build; nothing where `lines` is empty."""

    build: str
    profile: str
    lines: tuple[PlanLine, ...] = ()
    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    images: int = 0
    expected_yield: float = EXPECTED_YIELD
    """Share of the candidates that is expected to pass a round: measured in this build, or else assumed."""
    cost: float = 0.0
    """Expected, in the currency of the prices; repairs come on top."""
    batch_saving: float = 0.0
    """What of that cost would be saved by `mode: batch`."""


def plan(context: Context) -> Plan:
    """The plan of a build, from where it stands; calls nothing and writes nothing."""
    share = _measured_yield(context)
    lines: tuple[PlanLine, ...] = ()
    growth = context.growth()
    try:
        seven_stages(context, only_finished(context), growth)
    except Unfinished as stop:
        lines = _Planning(context, growth, stop, share).lines()
    return Plan(
        build=context.name,
        profile=context.profile.name,
        lines=lines,
        calls=sum(line.calls for line in lines),
        cached_calls=sum(line.cached_calls for line in lines),
        prompt_tokens=sum(line.prompt_tokens for line in lines),
        images=sum(line.images for line in lines),
        expected_yield=share,
        cost=sum(line.cost for line in lines),
        batch_saving=sum(line.batch_saving for line in lines),
    )


def _measured_yield(context: Context) -> float:
    """Share of the candidates that passed a round so far; the assumed one where none was judged."""
    try:
        history = History(context.store, context.name)
    except UnknownName:
        return EXPECTED_YIELD
    attempts = [a for group in history.attempts.values() for a in group if a.verdicts]
    return sum(attempt.passed for attempt in attempts) / len(attempts) if attempts else EXPECTED_YIELD


class _Planning:
    """The lines of a plan: what is missing of the pass that a build stopped at, then what is expected after it."""

    def __init__(self, context: Context, growth: Growth, stop: Unfinished, share: float) -> None:
        self._context = context
        self._growth = growth
        self._stop = stop
        self._share = share

    def lines(self) -> tuple[PlanLine, ...]:
        stop, stages = self._stop, self._round_stages()
        todo = [record for task in stop.missing for record in task.records]
        here = self._line(stop.stage, stop.round, len(stop.records), stop.stage.estimate(todo))
        names = [stage.name for stage in stages]
        limit = self._context.profile.limits.max_iterations
        if stop.stage.name == self._context.seeds.name:
            here = here.model_copy(update={"round": 0, "records": sum(order.count for order in stop.records)})
            had = self._growth.rounds
            return here, *self._rounds(range(had + 1, had + 1 + limit), self._candidates_of_new_seeds())
        if stop.stage.name not in names:
            return (here,)
        place = names.index(stop.stage.name)
        rest = [self._expected(stage, stop.round, len(todo)) for stage in stages[place + 1 :]]
        had = min(record.round for record in stop.records) + (place == 0)
        left = ceil(len(stop.records) * (1 - self._share))
        return *_folded([here, *rest]), *self._rounds(range(stop.round + 1, stop.round + 1 + limit - had), left)

    def _round_stages(self) -> tuple[Stage[Any, Any], ...]:
        return self._context.decompose, self._context.synthesize, self._context.filter

    def _candidates_of_new_seeds(self) -> int:
        """How many candidates are expected once the seed queries that are missing have been written."""
        if self._context.targets:
            return self._growth.expected
        candidates = sum(order.count for order in self._stop.records) * len(self._context.relation_types)
        return min(candidates, self._context.profile.limits.candidates or candidates)

    def _rounds(self, rounds: range, candidates: int) -> tuple[PlanLine, ...]:
        """The rounds to come, when so many candidates go into the first, and the expected share passes each."""
        lines: list[PlanLine] = []
        for number in rounds:
            if candidates:
                lines += _folded([self._expected(stage, number, candidates) for stage in self._round_stages()])
            candidates = ceil(candidates * (1 - self._share)) if candidates > 1 else 0
        return tuple(lines)

    def _expected(self, stage: Stage[Any, Any], round: int, candidates: int) -> PlanLine:
        """A pass over so many candidates, reckoned from one made-up candidate a relation type."""
        typical = _typical(self._context)
        estimate = stage.estimate(typical).scaled(candidates / len(typical))
        return self._line(stage, round, candidates, estimate).model_copy(update={"expected": True})

    def _line(self, stage: Stage[Any, Any], round: int, records: int, estimate: Estimate) -> PlanLine:
        return PlanLine(
            stage=stage.name,
            round=round,
            records=records,
            calls=round_up(estimate, "calls"),
            cached_calls=round_up(estimate, "cached"),
            prompt_tokens=round_up(estimate, "prompt_tokens"),
            images=int(estimate.images),
            cost=sum(self._cost(one) for one in estimate.by_role),
            batch_saving=sum(self._batch_saving(one) for one in estimate.by_role),
        )

    def _cost(self, asked: RoleCalls) -> float:
        choice = self._context.profile.models[asked.role]
        usage = Usage(prompt_tokens=int(asked.prompt_tokens), completion_tokens=int(asked.calls * asked.reply_tokens))
        if choice.prices and choice.prices.image:
            usage = Usage(prompt_tokens=int(asked.prompt_tokens), images=int(asked.calls))
        return cost_of(usage, choice.prices, batch=choice.mode == "batch")

    def _batch_saving(self, asked: RoleCalls) -> float:
        """What batches would save; nothing where a role has them already, has no prices, or cannot."""
        choice = self._context.profile.models[asked.role]
        if not choice.prices or choice.mode == "batch" or not asked.batchable:
            return 0.0
        return self._cost(asked) * (1 - choice.prices.batch)


def round_up(estimate: Estimate, what: str) -> int:
    """The sum of a figure over all roles, in whole ones."""
    return ceil(sum(getattr(one, what) for one in estimate.by_role))


def _folded(lines: Sequence[PlanLine]) -> list[PlanLine]:
    """The lines of one round; a pass that asks no model shows its images with the pass before it, and nothing else."""
    found: list[PlanLine] = []
    for line in lines:
        if line.calls or line.cached_calls or not found:
            found.append(line)
        elif line.images:
            found[-1] = found[-1].model_copy(update={"images": found[-1].images + line.images})
    return found


def _typical(context: Context) -> list[Candidate]:
    """A candidate of every relation type, made up here: a facet's definition as seed query, a sketch as pictures."""
    category = context.taxonomy.category(context.categories[0])
    facet, origin = category.facets[0], Origin(kind="file", name="plan")
    seed = SeedQuery(risk_category=category.name, facet=facet.name, text=facet.definition, origin=origin)
    candidates: list[Candidate] = []
    for name in context.relation_types:
        for sketch in context.taxonomy.relation_type(name).sketches:
            pictures = tuple(Picture(description=p.description, keywords=p.keywords) for p in sketch.pictures)
            candidates.append(Candidate(seed_query=seed, relation_type=name, pictures=pictures))
    return candidates
