"""Checks: what judges candidates, what they may look at, and what they find.

There are three kinds. A `Check` judges one candidate without asking a model, in whatever process; a `ComparingCheck`
judges all candidates of a pass together; a `ModelCheck` asks models. A check returns findings, which the filter signs
with its name and version: then they are verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from PIL.Image import Image as Pixels

from mirsb_build.config.taxonomy import RelationType
from mirsb_build.records import Candidate, Image, ModelCall, ProbeLabel

Outcome = Literal["pass", "fail", "abstain"]


@dataclass(frozen=True)
class Finding:
    """What a check finds of a candidate.

    It abstains where nothing in the candidate allows a judgement. Where a package, weights or a library of the system
    are what is missing, the check raises `CannotJudge` instead, and is asked again by the next run.
    """

    outcome: Outcome
    reason: str
    score: float | None = None
    threshold: float | None = None
    feedback: str = ""
    """What a revisor should change, in a sentence; empty unless the outcome is fail."""
    labels: tuple[ProbeLabel, ...] = ()
    calls: tuple[ModelCall, ...] = ()
    """Model calls that the finding rests on."""


@dataclass(frozen=True)
class Peer:
    """A candidate that others may be compared with."""

    candidate: Candidate
    release: str = ""
    """The earlier release that it is in, as `<build>/<version>`; empty for one of this build."""

    @property
    def images(self) -> list[Image]:
        return [p.image for p in self.candidate.pictures if p.image]

    def __str__(self) -> str:
        return f"candidate {self.candidate.id}" + (f" of release {self.release}" if self.release else "")


@dataclass(frozen=True)
class DecodedImages:
    """The images of a candidate as pixels, in picture order."""

    pixels: tuple[Pixels, ...] = ()
    """Empty when one of them does not decode."""
    broken: tuple[str, ...] = ()
    """Why an image does not decode, one line each."""


@dataclass(frozen=True)
class Evidence:
    """What a check may look at beside the candidate itself."""

    relation_type: RelationType
    decode: Callable[[], DecodedImages] = DecodedImages
    """Decodes the candidate's images when a check first looks at them."""

    @property
    def pixels(self) -> tuple[Pixels, ...]:
        return self.decode().pixels

    @property
    def broken(self) -> tuple[str, ...]:
        return self.decode().broken


Case = tuple[Candidate, Evidence]
"""What a check judges, with what it may look at."""


class Entry(Protocol):
    """A part of the taxonomy, known by its content: a relation type, a risk category, the policy, the paraphrases."""

    @property
    def hash(self) -> str: ...


class AnyCheck(Protocol):
    """What every check says of itself; its verdicts are kept, and used again, for as long as this stays the same."""

    name: str
    version: str
    """Version of its code and of the packages and weights that it judges with."""
    options: dict[str, Any]
    """What the profile set, and the defaults of what it did not."""
    identity: Sequence[object] = ()
    """Models that it asks and prompts that it asks with."""

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        """Parts of the taxonomy that its finding on this candidate depends on."""
        return ()

    def lacks(self) -> str | None:
        """Why it cannot judge here, as far as that shows without loading anything; None where it may."""
        return None


@runtime_checkable
class Check(AnyCheck, Protocol):
    """One automated test of a candidate; it asks no model of the profile, so any process may run it."""

    costly: bool = False
    """Whether it looks at every picture with a model of its own: it then judges only what no cheaper check failed."""

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        """Judge one candidate; raises CannotJudge."""
        ...


@runtime_checkable
class BatchCheck(Check, Protocol):
    """A check whose model takes the pictures or texts of several candidates at once."""

    def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
        """Judge each case, in order; but for rounding none depends on the other cases. Raises CannotJudge."""
        ...


@runtime_checkable
class ComparingCheck(AnyCheck, Protocol):
    """A check that compares the candidates of a pass with one another and with those before them."""

    def compare(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Finding]:
        """Judge each candidate, in order; raises CannotJudge.

        Of those that are the same the first is kept: `earlier`, those of earlier releases before those that passed in
        earlier rounds, then `candidates` in their order.
        """
        ...


@runtime_checkable
class ModelCheck(AnyCheck, Protocol):
    """A check that asks models, and is therefore asked last: only of candidates that every other check lets through."""

    def calls(self, pictures: float) -> dict[str, float]:
        """Role -> calls that a candidate of so many pictures takes, repairs not counted, for plans."""
        ...

    async def judge(self, candidate: Candidate) -> Finding:
        """Judge one candidate; raises BudgetReached or ModelError when no more can be asked."""
        ...
