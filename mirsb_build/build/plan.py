"""What a build would do next, without doing it: calls, tokens and images, exact as far as the store can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import ceil

from mirsb_build.build.context import Build, Unfinished
from mirsb_build.build.targets import EXPECTED_YIELD
from mirsb_build.config.prompts import ILLUSTRATOR
from mirsb_build.config.reply_schemas import SeedList
from mirsb_build.llm import cost_of
from mirsb_build.ports import ModelCheck
from mirsb_build.records import Candidate, Origin, Record, Request, SeedOrder, SeedQuery, Usage
from mirsb_build.stages import decompose, seeds
from mirsb_build.stages.synthesize import Synthesize
from mirsb_build.views import History

CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English prose."""
REPLY_TOKENS = {seeds.ROLE: 600, decompose.ROLE: 400, ILLUSTRATOR: 1056}
"""Tokens that a reply is expected to take; an illustrator's where images have no price of their own (what gpt-image-1
counts for 1024x1024 in medium quality)."""
PICTURE_TOKENS = 60
"""Tokens that a picture's words are expected to take."""
JUDGED_TOKENS, SHOWN_TOKENS = 1200, 700
"""Tokens of a question about a candidate that has been made, and of each image with it (of 1024 x 1024, roughly)."""
VERDICT_TOKENS = 250
"""Tokens that a judge's or reference model's reply is expected to take; one that thinks first takes more."""


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


def plan(build: Build, stop: Unfinished | None) -> Plan:
    """The plan of a build that is finished up to `stop`."""
    share = _measured_yield(build)
    lines = _lines(build, stop, share) if stop else ()
    cost = sum(line.cost for line in lines)
    return Plan(
        build=build.name,
        profile=build.profile.name,
        lines=lines,
        calls=sum(line.calls for line in lines),
        cached_calls=sum(line.cached_calls for line in lines),
        prompt_tokens=sum(line.prompt_tokens for line in lines),
        images=sum(line.images for line in lines),
        expected_yield=share,
        cost=cost,
        batch_saving=sum(line.cost * (1 - _batch_share(build, line.stage)) for line in lines),
    )


def _measured_yield(build: Build) -> float:
    """Share of the candidates that passed a round so far; the assumed one where none was judged."""
    if build.store.read_json(f"builds/{build.name}/build.json") is None:
        return EXPECTED_YIELD
    attempts = [a for group in History(build.store, build.name).attempts.values() for a in group if a.verdicts]
    return sum(attempt.passed for attempt in attempts) / len(attempts) if attempts else EXPECTED_YIELD


def _lines(build: Build, stop: Unfinished, share: float) -> tuple[PlanLine, ...]:
    todo = [record for work in stop.missing for record in work.records]
    line = PlanLine(stage=stop.stage, round=stop.round, records=len(stop.records))
    if stop.stage == "seeds":
        line = _seeds(build, [order for order in todo if isinstance(order, SeedOrder)])
        had, limit = build.course.rounds, build.profile.limits.max_iterations
        return line, *_rounds(build, range(had + 1, had + 1 + limit), _expected(build, stop), share)
    if stop.round == 0:
        return (line,)
    candidates = [record for record in todo if isinstance(record, Candidate)]
    if stop.stage == "decompose":
        line = _decompose(build, line, candidates)
    elif stop.stage == "synthesize":
        stage = stop.missing[0].stage
        assert isinstance(stage, Synthesize)
        specs = [spec for candidate in candidates for spec in stage.specs(candidate)]
        line = line.model_copy(update={"images": sum(not build.images.is_cached(spec) for spec in specs)})
    had = min(record.round for record in stop.records) + (stop.stage == "decompose")
    rounds = range(stop.round + 1, stop.round + 1 + build.profile.limits.max_iterations - had)
    lines = (*_with_images(build, line), *_judged(build, stop.round, len(candidates)))
    if stop.stage == "filter":
        lines = _judged(build, stop.round, len(candidates)) or (line,)
    return *lines, *_rounds(build, rounds, ceil(len(stop.records) * (1 - share)), share)


def _expected(build: Build, stop: Unfinished) -> int:
    """How many candidates are expected in the round after the seed queries that are still to be written."""
    if build.targets:
        return build.course.expected
    candidates = sum(order.count for order in stop.records) * len(build.relation_types)
    return min(candidates, build.profile.limits.candidates or candidates)


def _seeds(build: Build, orders: Sequence[SeedOrder]) -> PlanLine:
    calls = cached = tokens = 0
    for order in orders:
        category = build.taxonomy.category(order.risk_category)
        known: list[str] = []
        answered = fruitless = 0
        while True:  # follow the calls as far as the cache has them
            variables = build.seeds.variables(category, [*order.known, *known])
            request = build.models.request(seeds.ROLE, seeds.PROMPT, variables, sample=fruitless)
            reply = build.models.recall(request, SeedList) if len(known) < order.count else None
            if reply is None:
                break
            answered += 1
            origin = Origin(kind="model", name=request.model)
            new = build.seeds.new_seeds(category, reply, [*order.known, *known], origin)
            known += [seed.text for seed in new]
            fruitless = 0 if new else fruitless + 1
        needed = ceil(max(0, order.count - len(known)) / build.profile.seeds.per_call)
        calls += needed
        cached += answered
        tokens += needed * _tokens([request])
    return PlanLine(
        stage="seeds",
        round=0,
        records=sum(order.count for order in orders),
        calls=calls,
        cached_calls=cached,
        prompt_tokens=tokens,
        cost=_cost(build, seeds.ROLE, calls, tokens),
    )


def _decompose(build: Build, line: PlanLine, candidates: Sequence[Candidate]) -> PlanLine:
    asked = [
        build.models.request(decompose.ROLE, decompose.prompt_name(c.relation_type), build.decompose.variables(c))
        for c in candidates
    ]
    new = [request for request in asked if not build.models.is_cached(request)]
    images = round(sum(_pictures(build, c.relation_type) for c in candidates))
    tokens = _tokens(new)
    counts = {"calls": len(new), "cached_calls": len(asked) - len(new), "prompt_tokens": tokens, "images": images}
    return line.model_copy(update=counts | {"cost": _cost(build, decompose.ROLE, len(new), tokens)})


def _rounds(build: Build, rounds: range, candidates: int, share: float) -> tuple[PlanLine, ...]:
    """The rounds to come, when so many candidates go into the first of them and that share of them passes each."""
    pictures = _mean_pictures(build)
    tokens = _typical_tokens(build)
    lines: list[PlanLine] = []
    for number in rounds:
        if candidates:
            line = PlanLine(
                stage="decompose",
                round=number,
                records=candidates,
                calls=candidates,
                prompt_tokens=candidates * tokens,
                images=round(candidates * pictures),
                cost=_cost(build, decompose.ROLE, candidates, candidates * tokens),
                expected=True,
            )
            lines += (*_with_images(build, line), *_judged(build, number, candidates))
        candidates = ceil(candidates * (1 - share)) if candidates > 1 else 0
    return tuple(lines)


def _with_images(build: Build, line: PlanLine) -> tuple[PlanLine, ...]:
    """The line; where images are model calls, those of the line in one of their own (none asked again as blank)."""
    role, images = build.images.role, line.images
    if not role or not images:
        return (line,)
    tokens = images * PICTURE_TOKENS
    drawn = PlanLine(
        stage="synthesize",
        round=line.round,
        records=line.records,
        calls=images,
        prompt_tokens=tokens,
        images=images,
        cost=_cost(build, role, images, tokens),
        expected=line.expected or line.stage != "synthesize",
    )
    return (drawn,) if line.stage == "synthesize" else (line.model_copy(update={"images": 0}), drawn)


def _judged(build: Build, round: int, candidates: int) -> tuple[PlanLine, ...]:
    """What checks that ask models take in a round, if all these candidates come to them; nothing without any."""
    pictures = _mean_pictures(build)
    asked: Counter[str] = Counter()
    for check in build.checks:
        if isinstance(check, ModelCheck):
            asked.update({role: ceil(candidates * calls) for role, calls in check.calls(pictures).items()})
    if not asked.total():
        return ()
    each = int(JUDGED_TOKENS + pictures * SHOWN_TOKENS)
    return (
        PlanLine(
            stage="filter",
            round=round,
            records=candidates,
            calls=asked.total(),
            prompt_tokens=asked.total() * each,
            cost=sum(_cost(build, role, calls, calls * each) for role, calls in asked.items()),
            expected=True,
        ),
    )


def _mean_pictures(build: Build) -> float:
    """Pictures that a candidate is expected to have, whatever its relation type."""
    return sum(_pictures(build, name) for name in build.relation_types) / len(build.relation_types)


def _typical_tokens(build: Build) -> int:
    """Prompt tokens of a typical decomposition: the mean over the relation types, for a seed that is made up here."""
    category = build.taxonomy.category(build.categories[0])
    facet, origin = category.facets[0], Origin(kind="file", name="plan")
    seed = SeedQuery(risk_category=category.name, facet=facet.name, text=facet.definition, origin=origin)
    candidates = [Candidate(seed_query=seed, relation_type=name) for name in build.relation_types]
    requests = [
        build.models.request(decompose.ROLE, decompose.prompt_name(c.relation_type), build.decompose.variables(c))
        for c in candidates
    ]
    return _tokens(requests) // len(requests)


def _cost(build: Build, role: str, calls: int, prompt_tokens: int) -> float:
    choice = build.profile.models[role]
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=calls * REPLY_TOKENS.get(role, VERDICT_TOKENS))
    if choice.prices and choice.prices.image:
        usage = Usage(prompt_tokens=prompt_tokens, images=calls)
    return cost_of(usage, choice.prices, batch=choice.mode == "batch")


def _batch_share(build: Build, stage: str) -> float:
    """What share of a stage's cost is left with batches; all of it where it has them already, or no prices."""
    if stage in ("synthesize", "filter"):  # of its roles some may have them, so no saving is promised
        return 1.0
    choice = build.profile.models[seeds.ROLE if stage == "seeds" else decompose.ROLE]
    return choice.prices.batch if choice.prices and choice.mode == "live" else 1.0


def _pictures(build: Build, relation_type: str) -> float:
    """Pictures that a candidate of a relation type is expected to have: the mean of its sketches."""
    sketches = build.taxonomy.relation_type(relation_type).sketches
    return sum(len(sketch.pictures) for sketch in sketches) / len(sketches)


def _tokens(requests: Sequence[Request]) -> int:
    return sum(len(m.content) for request in requests for m in request.messages) // CHARACTERS_PER_TOKEN
