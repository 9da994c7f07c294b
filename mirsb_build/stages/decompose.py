"""Stage 2: every open candidate rewritten for its relation type."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.config.reply_schemas import Decomposition
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.llm import Models
from mirsb_build.ports import Answer
from mirsb_build.records import Candidate, Exclusion, Picture, content_hash
from mirsb_build.runtime.gather import all_of
from mirsb_build.stages import Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls, tokens_of

ROLE = "revisor"
REPLY_TOKENS = 400
"""Tokens that a reply is expected to take."""


def prompt_name(relation_type: str) -> str:
    """The prompt template of a relation type."""
    return f"decompose/{relation_type}"


class Decompose(Stage[Candidate, Candidate]):
    """Rewrite each open candidate for its relation type (one model call a candidate).

    Takes candidates as the round before left them; returns them in the next round, with `prompt` and `pictures` (2-4
    descriptions) set, or with `problem` set where the model's reply stayed unusable, or with `excluded` set where it
    hit the policy. Raises nothing for a single candidate's sake; BudgetReached and ModelError end the stage once the
    calls under way are over, and those are kept.
    Method: arXiv 2601.14127, "Revisor".
    """

    name = "decompose"
    returns = Candidate
    version = "1"

    def __init__(self, models: Models, taxonomy: Taxonomy, retry_dead: bool = False) -> None:
        """With `retry_dead`, candidates whose replies stayed unusable are asked about once more."""
        self._models = models
        self._taxonomy = taxonomy
        self._retry_dead = retry_dead

    def cut(self, records: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
        return in_shards_of(size, records)

    def intact(self, results: Sequence[Candidate]) -> bool:
        """Whether nothing is to be asked again."""
        return not (self._retry_dead and any(candidate.problem for candidate in results))

    def key(self, records: Sequence[Candidate]) -> str:
        relation_types = sorted({r.relation_type for r in records})
        categories = sorted({r.risk_category for r in records})
        return content_hash(
            self.name,
            self.version,
            self._taxonomy.policy.hash,
            [
                (self._taxonomy.relation_type(n).hash, self._models.identity(ROLE, prompt_name(n)))
                for n in relation_types
            ],
            [self._taxonomy.category(n).hash for n in categories],
            [(r.revision, [v.model_dump() for v in r.failures]) for r in records],
        )

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        return await all_of([self._rewrite(candidate) for candidate in records])

    def variables(self, candidate: Candidate) -> dict[str, object]:
        """What the prompt is rendered with."""
        seed, category = candidate.seed_query, self._taxonomy.category(candidate.risk_category)
        return {
            "seed_query": seed.text,
            "facet": category.facet(seed.facet),
            "category": category,
            "relation_type": self._taxonomy.relation_type(candidate.relation_type),
            "round": candidate.round + 1,
            "feedback": candidate.failure_feedback,
            "previous": candidate if candidate.round else None,
            "policy": self._taxonomy.policy.rules,
        }

    def estimate(self, records: Sequence[Candidate]) -> Estimate:
        asked = [
            self._models.request(ROLE, prompt_name(c.relation_type), self.variables(c)) for c in records if c.alive
        ]
        new = [request for request in asked if not self._models.is_cached(request)]
        calls = RoleCalls(
            role=ROLE,
            calls=len(new),
            cached=len(asked) - len(new),
            prompt_tokens=tokens_of(new),
            reply_tokens=REPLY_TOKENS,
            batchable=True,
        )
        return Estimate(by_role=(calls,))

    async def _rewrite(self, candidate: Candidate) -> Candidate:
        sample, known = 0, self._is_known(candidate, 0)
        answer = await self._ask(candidate, sample)
        while self._retry_dead and answer.problem and known:  # until a sample is asked for that never was
            sample += len(answer.calls)
            known = self._is_known(candidate, sample)
            answer = await self._ask(candidate, sample)
        reply = answer.reply
        return Candidate(
            id=candidate.id,
            seed_query=candidate.seed_query,
            relation_type=candidate.relation_type,
            round=candidate.round + 1,
            parent=candidate.revision if candidate.round else None,
            feedback=candidate.failure_feedback,
            prompt=reply.prompt if reply else "",
            pictures=tuple(
                Picture(description=p.description, keywords=tuple(p.keywords))
                for p in (reply.pictures if reply else ())
            ),
            sample=sample,
            calls=answer.calls,
            problem=answer.problem,
            excluded=next(iter(answer.exclusions), None),
        )

    def _is_known(self, candidate: Candidate, sample: int) -> bool:
        """Whether a sample of the reply was asked for before."""
        prompt, variables = prompt_name(candidate.relation_type), self.variables(candidate)
        return self._retry_dead and self._models.is_cached(self._models.request(ROLE, prompt, variables, sample))

    async def _ask(self, candidate: Candidate, sample: int) -> Answer[Decomposition]:
        prompt, variables = prompt_name(candidate.relation_type), self.variables(candidate)
        return await self._models.ask(ROLE, prompt, variables, Decomposition, self._screen, sample=sample)

    def _screen(self, reply: Decomposition) -> tuple[Decomposition | None, tuple[Exclusion, ...]]:
        """Nothing of a reply stays when any of it hits the policy."""
        screen = self._taxonomy.policy.screen
        hit = screen(reply.prompt, "prompt")
        for picture in reply.pictures:
            hit = hit or screen(f"{picture.description} {' '.join(picture.keywords)}", "image")
        return (None, (hit,)) if hit else (reply, ())
