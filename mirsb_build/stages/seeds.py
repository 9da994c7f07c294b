"""Stage 1: seed queries for every risk category, spread over its facets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import ceil

from more_itertools import interleave_longest

from mirsb_build.config.reply_schemas import SeedList
from mirsb_build.config.taxonomy import RiskCategory, Taxonomy
from mirsb_build.llm import Models
from mirsb_build.records import Exclusion, ModelCall, Origin, SeedBatch, SeedOrder, SeedQuery, content_hash
from mirsb_build.runtime.gather import all_of
from mirsb_build.stages import Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls, tokens_of

ROLE = "seed_writer"
PROMPT = "seeds"
REPLY_TOKENS = 600
"""Tokens that a reply is expected to take."""
FRUITLESS_CALLS = 3
"""A category ends short when so many calls in a row bring no new seed."""


class Seeds(Stage[SeedOrder, SeedBatch]):
    """Write the seed queries of each category (one model call for `per_call` of them).

    Takes orders, returns one batch an order, with fewer seeds than ordered where the model brings no new ones. A seed
    that hits the policy is dropped and counted, and its text is not kept. Every call asks for the same number, and the
    seeds of a call stand together, its facets in turn; so a larger order begins with the smaller one's seeds and uses
    its calls again, and so does an order that goes on after a whole one (`SeedOrder.whole`).
    """

    name = "seeds"
    returns = SeedBatch
    version = "2"

    def __init__(self, models: Models, taxonomy: Taxonomy, per_call: int) -> None:
        self._models = models
        self._taxonomy = taxonomy
        self._per_call = per_call

    def cut(self, records: Sequence[SeedOrder], size: int) -> list[Sequence[SeedOrder]]:
        """A shard an order, that is a risk category."""
        return in_shards_of(1, records)

    def key(self, records: Sequence[SeedOrder]) -> str:
        return content_hash(
            self.name,
            self.version,
            self._per_call,
            self._models.identity(ROLE, PROMPT),
            self._taxonomy.policy.hash,
            [(r.model_dump(), self._taxonomy.category(r.risk_category).hash) for r in records],
        )

    async def run(self, records: Sequence[SeedOrder]) -> list[SeedBatch]:
        return await all_of([self._write(order) for order in records])

    def variables(self, category: RiskCategory, known: Sequence[str]) -> dict[str, object]:
        """What the prompt is rendered with, when the category has the `known` seeds already."""
        return {
            "category": category,
            "facets": category.facets,
            "count": self._per_call,
            "policy": self._taxonomy.policy.rules,
            "avoid": list(known),
        }

    async def _write(self, order: SeedOrder) -> SeedBatch:
        category = self._taxonomy.category(order.risk_category)
        seeds: list[SeedQuery] = []
        calls: list[ModelCall] = []
        exclusions: list[Exclusion] = []
        fruitless = sample = 0
        while len(seeds) < order.count and fruitless < FRUITLESS_CALLS:
            known = [*order.known, *(seed.text for seed in seeds)]
            answer = await self._models.ask(
                ROLE, PROMPT, self.variables(category, known), SeedList, self._screen, sample=sample
            )
            calls += answer.calls
            exclusions += answer.exclusions
            last = answer.calls[-1]
            origin = Origin(kind="model", name=last.model, call=last)
            new = self.new_seeds(category, answer.reply, known, origin)
            seeds += new
            fruitless, sample = (0, 0) if new else (fruitless + 1, sample + len(answer.calls))
        return SeedBatch(
            risk_category=category.name,
            seeds=tuple(seeds if order.whole else seeds[: order.count]),
            wanted=order.count,
            calls=tuple(calls),
            exclusions=tuple(exclusions),
        )

    def estimate(self, records: Sequence[SeedOrder]) -> Estimate:
        """Calls are followed as far as the cache has them; after that, `per_call` new seeds a call are expected."""
        found = [self._estimate(order) for order in records]
        return Estimate(
            by_role=(
                RoleCalls(
                    role=ROLE,
                    calls=sum(one.calls for one in found),
                    cached=sum(one.cached for one in found),
                    prompt_tokens=sum(one.prompt_tokens for one in found),
                    reply_tokens=REPLY_TOKENS,
                    batchable=True,
                ),
            )
        )

    def _estimate(self, order: SeedOrder) -> RoleCalls:
        category = self._taxonomy.category(order.risk_category)
        written: list[str] = []
        answered = fruitless = 0
        while True:
            known = [*order.known, *written]
            request = self._models.request(ROLE, PROMPT, self.variables(category, known), sample=fruitless)
            reply = self._models.recall(request, SeedList) if len(written) < order.count else None
            if reply is None:
                break
            answered += 1
            new = self.new_seeds(category, reply, known, Origin(kind="model", name=request.model))
            written += [seed.text for seed in new]
            fruitless = 0 if new else fruitless + 1
        needed = ceil(max(0, order.count - len(written)) / self._per_call)
        return RoleCalls(role=ROLE, calls=needed, cached=answered, prompt_tokens=needed * tokens_of([request]))

    def new_seeds(
        self, category: RiskCategory, reply: SeedList | None, known: Sequence[str], origin: Origin
    ) -> list[SeedQuery]:
        """What a reply brings beside the known texts, its facets in turn; nothing of what goes beyond `per_call`."""
        written = {seed.text.strip(): seed for seed in reversed(reply.seeds)} if reply else {}  # of equals the first
        seeds = [
            SeedQuery(risk_category=category.name, facet=seed.facet, text=text, origin=origin)
            for text, seed in reversed(written.items())
            if text and text not in known
        ]
        return list(spread(seeds, self._per_call))

    def _screen(self, reply: SeedList) -> tuple[SeedList | None, tuple[Exclusion, ...]]:
        """Take the seeds out that the policy excludes."""
        hits = [self._taxonomy.policy.screen(seed.text, "seed") for seed in reply.seeds]
        allowed = [seed for seed, hit in zip(reply.seeds, hits, strict=True) if hit is None]
        return (SeedList(seeds=allowed) if allowed else None), tuple(hit for hit in hits if hit)


def spread(seeds: Sequence[SeedQuery], count: int) -> tuple[SeedQuery, ...]:
    """The first `count` seeds, taken from the facets in turn."""
    facets: dict[str, list[SeedQuery]] = {}
    for seed in seeds:
        facets.setdefault(seed.facet, []).append(seed)
    return tuple(islice(interleave_longest(*facets.values()), count))
