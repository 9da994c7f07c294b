"""What a build would do next, without doing it: calls, tokens and images, exact as far as the store can tell."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from mirsb_build.ports import Request
from mirsb_build.records import Candidate, Record, SeedOrder
from mirsb_build.session import Build, Unfinished
from mirsb_build.stages import decompose, seeds

EXPECTED_YIELD = 0.5
"""Share of the candidates that is expected to pass a round (published: 49.6 % over all rounds)."""
CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English prose."""


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
    expected: bool = False
    """True where the numbers rest on the expected yield, not on what is in the store."""


class Plan(Record):
    """What is left of a build; nothing where `lines` is empty."""

    build: str
    profile: str
    lines: tuple[PlanLine, ...] = ()
    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    images: int = 0
    cost: float = 0.0
    """In the profile's currency; the offline models cost nothing."""


def plan(build: Build, stop: Unfinished | None) -> Plan:
    """The plan of a build that is finished up to `stop`."""
    lines = _lines(build, stop) if stop else ()
    return Plan(
        build=build.name,
        profile=build.profile.name,
        lines=lines,
        calls=sum(line.calls for line in lines),
        cached_calls=sum(line.cached_calls for line in lines),
        prompt_tokens=sum(line.prompt_tokens for line in lines),
        images=sum(line.images for line in lines),
    )


def _lines(build: Build, stop: Unfinished) -> tuple[PlanLine, ...]:
    todo = [record for work in stop.missing for record in work.records]
    line = PlanLine(stage=stop.stage, round=stop.round, records=len(stop.records))
    if stop.stage == "seeds":
        line = _seeds(build, [order for order in todo if isinstance(order, SeedOrder)])
        candidates = build.profile.seeds.per_category * len(build.categories) * len(build.relation_types)
        candidates = min(candidates, build.profile.limits.candidates or candidates)
        return line, *_rounds(build, 1, candidates)
    if stop.round == 0:
        return (line,)
    candidates = [record for record in todo if isinstance(record, Candidate)]
    if stop.stage == "decompose":
        line = _decompose(build, line, candidates)
    elif stop.stage == "synthesize":
        line = line.model_copy(update={"images": sum(len(c.pictures) for c in candidates)})
    return line, *_rounds(build, stop.round + 1, ceil(len(stop.records) * (1 - EXPECTED_YIELD)))


def _seeds(build: Build, orders: Sequence[SeedOrder]) -> PlanLine:
    requests: list[Request] = []
    calls = 0
    for order in orders:
        variables = build.seeds.variables(build.taxonomy.category(order.risk_category), ())
        requests.append(build.models.request(seeds.ROLE, seeds.PROMPT, variables))
        calls += ceil(order.count / build.profile.seeds.per_call)
    cached = sum(build.models.is_cached(request) for request in requests)
    return PlanLine(
        stage="seeds",
        round=0,
        records=sum(order.count for order in orders),
        calls=calls - cached,
        cached_calls=cached,
        prompt_tokens=_tokens(requests) * (calls - cached) // max(1, len(requests)),
    )


def _decompose(build: Build, line: PlanLine, candidates: Sequence[Candidate]) -> PlanLine:
    asked = [
        build.models.request(decompose.ROLE, decompose.prompt_name(c.relation_type), build.decompose.variables(c))
        for c in candidates
    ]
    new = [request for request in asked if not build.models.is_cached(request)]
    images = round(sum(_pictures(build, c.relation_type) for c in candidates))
    counts = {"calls": len(new), "cached_calls": len(asked) - len(new), "prompt_tokens": _tokens(new), "images": images}
    return line.model_copy(update=counts)


def _rounds(build: Build, first: int, candidates: int) -> tuple[PlanLine, ...]:
    """The rounds from `first` on, when so many candidates go into it."""
    pictures = sum(_pictures(build, name) for name in build.relation_types) / len(build.relation_types)
    lines: list[PlanLine] = []
    for number in range(first, build.profile.limits.max_iterations + 1):
        if candidates:
            lines.append(
                PlanLine(
                    stage="decompose",
                    round=number,
                    records=candidates,
                    calls=candidates,
                    images=round(candidates * pictures),
                    expected=True,
                )
            )
        candidates = ceil(candidates * (1 - EXPECTED_YIELD)) if candidates > 1 else 0
    return tuple(lines)


def _pictures(build: Build, relation_type: str) -> float:
    """Pictures that a candidate of a relation type is expected to have: the mean of its sketches."""
    sketches = build.taxonomy.relation_type(relation_type).sketches
    return sum(len(sketch.pictures) for sketch in sketches) / len(sketches)


def _tokens(requests: Sequence[Request]) -> int:
    return sum(len(m.content) for request in requests for m in request.messages) // CHARACTERS_PER_TOKEN
