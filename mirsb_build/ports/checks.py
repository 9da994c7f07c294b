"""Checks: what judges a candidate, and what it may look at."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from PIL.Image import Image as Pixels

from mirsb_build.config.taxonomy import RelationType
from mirsb_build.records import Candidate, Image, Verdict, content_hash

M = TypeVar("M")


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


class Peers:
    """Candidates that may be compared with one another: those of earlier releases, then the build's, in its order."""

    def __init__(self, candidates: Sequence[Candidate] = (), released: Sequence[Peer] = ()) -> None:
        self.entries = (*released, *(Peer(c) for c in candidates))
        self.hash = content_hash([(e.release, e.candidate.revision, bool(e.candidate.failures)) for e in self.entries])
        self._ids = frozenset(c.id for c in candidates)
        self._made: dict[object, Any] = {}
        self._making = threading.Lock()

    def __contains__(self, candidate: str) -> bool:
        """Whether a candidate of that id is among those of the build."""
        return candidate in self._ids

    def once(self, whose: object, make: Callable[[], M]) -> M:
        """What `make` returns, made once for these peers: shards are judged in threads, and share it."""
        with self._making:
            if whose not in self._made:
                self._made[whose] = make()
            return self._made[whose]


@dataclass(frozen=True)
class Evidence:
    """What a check may look at beside the candidate itself."""

    relation_type: RelationType
    pixels: tuple[Pixels, ...] = ()
    """Decoded images, in picture order; empty when one of them does not decode."""
    broken: tuple[str, ...] = ()
    """Why an image does not decode, one line each."""
    peers: Peers = field(default_factory=Peers)


class Check(Protocol):
    """One automated test of a candidate."""

    name: str
    version: str
    options: dict[str, Any]
    """What the profile set, and the defaults of what it did not."""

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        """Pass, fail or abstain, with score, threshold, reason and, on fail, feedback for the revisor."""
        ...


Case = tuple[Candidate, Evidence]
"""What a check judges, with what it may look at."""


@runtime_checkable
class CostlyCheck(Protocol):
    """A check that looks at every picture with a model of its own: it judges only what no cheaper check failed."""

    costly: Literal[True]


@runtime_checkable
class BatchCheck(Protocol):
    """A check whose model takes the pictures or texts of several candidates at once."""

    name: str
    version: str
    options: dict[str, Any]

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        """Like a check's, for one candidate."""
        ...

    def judge_all(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict a case, in order; but for rounding none depends on the other cases."""
        ...


@runtime_checkable
class ModelCheck(Protocol):
    """A check that asks models, and is therefore asked last: only of candidates that every other check lets through."""

    name: str
    version: str
    options: dict[str, Any]
    identity: list[object]
    """The models and prompts that its verdicts depend on."""

    def calls(self, pictures: float) -> dict[str, float]:
        """Role -> calls that a candidate of so many pictures takes, repairs not counted, for plans."""
        ...

    async def judge(self, candidate: Candidate) -> Verdict:
        """Like a check's; raises BudgetReached or ModelError when no more can be asked."""
        ...
