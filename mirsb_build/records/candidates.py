"""Seed queries, and the candidates that come of them, as they stand in one round."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field

from mirsb_build.records.base import ID_LENGTH, Identified, Record, content_hash
from mirsb_build.records.calls import ModelCall
from mirsb_build.records.canonical import canonical_call, canonical_picture
from mirsb_build.records.pictures import Picture


class Origin(Record):
    """Where a seed query is from: a model call, or a file that was imported."""

    kind: Literal["model", "file"]
    name: str
    """Model name, or name of the data set."""
    call: ModelCall | None = None
    sha256: str | None = None
    licence: str | None = None


class SeedQuery(Identified):
    """A question or request that a safe assistant should decline."""

    risk_category: str
    facet: str
    text: str = Field(min_length=1)
    origin: Origin

    def identity(self) -> str:
        return content_hash("seed_query", self.risk_category, self.text)[:ID_LENGTH]


class Exclusion(Record):
    """A hard exclusion of the policy that was hit; the text that hit it is not kept."""

    rule: str
    where: Literal["seed", "prompt", "image"]
    explanation: str


class SeedOrder(Record):
    """How many seed queries of one risk category are wanted, beside those that are known."""

    risk_category: str
    count: int
    known: tuple[str, ...] = ()
    """Texts of the seed queries that the build has already."""
    whole: bool = False
    """Whether everything that the calls bring is kept, so that a later order goes on where this one ends."""


class SeedBatch(Record):
    """The seed queries of one risk category, with the calls they took and what the policy dropped."""

    risk_category: str
    seeds: tuple[SeedQuery, ...]
    wanted: int = 0
    """How many were ordered; there are fewer where the model brought no new ones."""
    calls: tuple[ModelCall, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()


ResponseLabel = Literal["complied", "refused", "misunderstood", "evasive"]
"""What a response was: it did what was asked; it declined; it missed what the pictures have to do with one another or
what was asked; it answered without committing itself."""


class ProbeLabel(Record):
    """What one reference model made of a candidate; its response lies in the call cache and nowhere else."""

    role: str
    """The reference model's role in the profile."""
    model: str
    """Backend and name of the reference model."""
    label: ResponseLabel | None
    """None where the model gave no response, or the judge no judgement."""
    score: float | None = Field(default=None, ge=0, le=1)
    """How far the response did what was asked, from 0 (not at all) to 1 (in full)."""
    calls: tuple[str, ...]
    """Ids of the calls: the response's, then the judge's."""


class Verdict(Record):
    """What one check says of a candidate."""

    check: str
    version: str
    outcome: Literal["pass", "fail", "abstain"]
    reason: str
    score: float | None = None
    threshold: float | None = None
    feedback: str = ""
    """What a revisor should change, in a sentence; empty unless the outcome is fail."""
    labels: tuple[ProbeLabel, ...] = ()
    """Of the probe: one a reference model, so that results can be told with and without a model or its family."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls that the verdict rests on."""
    pending: bool = False
    """Whether it abstains for a cause outside the candidate (a missing package, a model that does not load, a check
    that broke): no finding, and the next run asks the check again."""


Cell = tuple[str, str]
"""Risk category and relation type."""


class Candidate(Identified):
    """One (seed query, relation type) on its way, as it stands in one round."""

    seed_query: SeedQuery
    relation_type: str
    round: int = Field(default=0, ge=0)
    """Pass of the refinement loop that made this; 0 before the first."""
    parent: str | None = None
    """`revision` of the same candidate in the round before."""
    feedback: tuple[str, ...] = ()
    """What the checks of the round before asked for."""
    prompt: str = ""
    pictures: tuple[Picture, ...] = ()
    sample: int = Field(default=0, ge=0)
    """First sample of the reply that was asked for in this round; above 0 where a dead candidate was retried."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls of this round."""
    verdicts: tuple[Verdict, ...] = ()
    problem: str | None = None
    """Why the candidate is dead: the model's reply stayed unusable."""
    excluded: Exclusion | None = None

    def identity(self) -> str:
        return content_hash("candidate", self.seed_query.id, self.relation_type)[:ID_LENGTH]

    @property
    def risk_category(self) -> str:
        return self.seed_query.risk_category

    @property
    def cell(self) -> Cell:
        """The cell that yields are counted for."""
        return self.risk_category, self.relation_type

    @cached_property
    def revision(self) -> str:
        """Hash of all that a reader sees and all it was made from (`canonical_candidate`)."""
        return content_hash("revision", canonical_candidate(self))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed; its revision is computed anew unless only the verdicts changed."""
        copied = super().model_copy(update=update, deep=deep)
        if set(update or ()) - {"verdicts"}:
            vars(copied).pop("revision", None)
        return copied

    @property
    def alive(self) -> bool:
        return self.problem is None and self.excluded is None

    @property
    def failures(self) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.outcome == "fail")

    @property
    def failure_feedback(self) -> tuple[str, ...]:
        """What the failed checks ask for, one sentence each, with the check's name."""
        return tuple(f"{verdict.check}: {verdict.feedback or verdict.reason}" for verdict in self.failures)

    @property
    def passed(self) -> bool:
        """Whether checks judged it and none failed it; an abstention, pending or not, fails nothing."""
        return self.alive and bool(self.verdicts) and not self.failures

    @property
    def control(self) -> bool:
        """Whether only the probe failed it; of the last round's candidates these are the control set."""
        return self.alive and bool(self.failures) and all(verdict.labels for verdict in self.failures)


def canonical_candidate(candidate: Candidate) -> dict[str, Any]:
    """What a revision is the hash of, in words that stay as they are whatever the fields are called.

    People's decisions hold for one revision, so renaming or adding a field must not change it: a new field comes in
    only where a candidate with another value of it would have to be reviewed again. Verdicts are left out, and so is
    what follows from the bytes of an image.
    """
    seed, excluded = candidate.seed_query, candidate.excluded
    origin = seed.origin
    return {
        "id": candidate.id,
        "seed_query": {
            "id": seed.id,
            "risk_category": seed.risk_category,
            "facet": seed.facet,
            "text": seed.text,
            "origin": {
                "kind": origin.kind,
                "name": origin.name,
                "call": canonical_call(origin.call) if origin.call else None,
                "sha256": origin.sha256,
                "licence": origin.licence,
            },
        },
        "relation_type": candidate.relation_type,
        "round": candidate.round,
        "parent": candidate.parent,
        "feedback": candidate.feedback,
        "prompt": candidate.prompt,
        "pictures": [canonical_picture(picture) for picture in candidate.pictures],
        "sample": candidate.sample,
        "calls": [canonical_call(call) for call in candidate.calls],
        "problem": candidate.problem,
        "excluded": excluded and {"rule": excluded.rule, "where": excluded.where, "explanation": excluded.explanation},
    }
