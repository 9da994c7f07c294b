"""The tiny interfaces between the stages and what they use.

A stage gets its models, its image backend and its checks passed in and knows only these shapes. The offline ones are
as real as the paid ones, only local.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from PIL.Image import Image as Pixels

from mirsb_build.records import (
    Candidate,
    Exclusion,
    Generation,
    Image,
    ImageSource,
    ImageSpec,
    ModelCall,
    Record,
    ReplyKind,
    Usage,
    Verdict,
    content_hash,
)
from mirsb_build.replies import ReplyModel
from mirsb_build.taxonomy import RelationType

R = TypeVar("R", bound=ReplyModel)
M = TypeVar("M")


class Message(Record):
    """One chat message."""

    role: str
    content: str
    images: tuple[str, ...] = ()
    """Blobs that are shown after the text, as `<sha256>.<extension>`."""


class Request(Record):
    """One question to a text model.

    `variables` are what the messages were rendered from: a language model reads the messages, the offline grammar the
    variables. They are not part of the key, because the messages already say all of it.
    """

    role: str
    model: str
    prompt: str
    prompt_hash: str
    messages: tuple[Message, ...]
    reply_schema: dict[str, Any]
    """Empty for a free-form reply."""
    variables: dict[str, Any]
    sampling: dict[str, Any] = {}
    sample: int = 0
    """Which of several samples of the same question this is."""

    @cached_property
    def key(self) -> str:
        """SHA-256 of what the answer depends on: the key in the call cache."""
        return content_hash(
            self.model,
            [m.model_dump(exclude_defaults=True) for m in self.messages],
            self.reply_schema,
            self.sampling,
            self.sample,
        )

    def changed(self, **values: Any) -> Request:
        """The same request but for some fields; a copy made by pydantic would keep the old key."""
        return Request(**{name: getattr(self, name) for name in Request.model_fields} | values)


class Reply(Record):
    """What a text model answered."""

    text: str
    kind: ReplyKind = "usable"
    """As far as the model can tell without the schema: usable, truncated, empty, refused, filtered or rejected."""
    usage: Usage = Usage()
    model: str = ""
    """The model's own version of its name."""
    response_id: str = ""
    batch: bool = False
    """Whether it came with a batch, at a batch's price."""


class TextModel(Protocol):
    """Anything that answers a request."""

    async def complete(self, request: Request) -> Reply:
        """Answer one request; raises ModelError when there is no answer to be had."""
        ...


Screen = Callable[[R], tuple[R | None, tuple[Exclusion, ...]]]
"""Takes out of a reply what the policy excludes; None when nothing of it may stay."""


@dataclass(frozen=True)
class Answer(Generic[R]):
    """What came of one question: a reply, or a problem, or nothing but exclusions; and every call it took."""

    reply: R | None
    calls: tuple[ModelCall, ...]
    exclusions: tuple[Exclusion, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class Said:
    """A free-form reply. Its text is for the code that asked: it goes into no record, log or release."""

    text: str = field(repr=False)
    call: ModelCall
    kind: ReplyKind


class Asker(Protocol):
    """The text models of a build, by role, for what may not know how they are asked."""

    def identity(self, role: str, prompt: str | None = None) -> list[object]:
        """What a role's replies depend on beside the variables; raises UsageError where nothing plays the role."""
        ...

    async def ask(
        self,
        role: str,
        prompt: str,
        variables: Mapping[str, Any],
        reply_model: type[R],
        screen: Screen[R],
        sample: int = 0,
        images: Sequence[str] = (),
    ) -> Answer[R]:
        """Ask one question by a prompt template; raises BudgetReached or ModelError when no more can be asked.

        `images` are blobs, as `<sha256>.<extension>`, that go with the template's user message.
        """
        ...

    async def say(self, role: str, messages: Sequence[Message], sample: int = 0) -> Said:
        """Ask one free-form question; raises BudgetReached or ModelError when no more can be asked."""
        ...


@dataclass(frozen=True)
class RenderedImage:
    """What a backend made of a spec: pixels and where they are from, or the reason why there are none."""

    spec: ImageSpec
    pixels: Pixels | None
    problem: str = ""
    """Why there are no pixels."""
    sources: tuple[ImageSource, ...] = ()
    """Files that went into the picture."""
    generation: Generation | None = None
    """How a model drew it."""
    synthetic: bool = False
    """Whether a trained model drew it; the stored file says so."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls that it took."""
    seconds: float = 0.0
    """Time that the picture took, its share of a batch's."""


class ImageBackend(Protocol):
    """Anything that turns specs into pixels."""

    identity: str
    """Name and version: images are cached under it, so it changes when the pixels would."""
    layouts: frozenset[str]
    """Layouts that it composes; empty when it composes none itself and takes any."""

    def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One result a spec, each as soon as it is there, in any order.

        Raises ModelError or BudgetReached when no more can be made. All calls come from one event loop.
        """
        ...

    async def close(self) -> None:
        """End what it holds, worker processes for example; it may be used again."""
        ...


@runtime_checkable
class Allots(Protocol):
    """An image backend with a stock of pictures, that chooses among them for all candidates of a pass at once."""

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[ImageSpec]:
        """The specs, in order, each with the picture chosen for it as its `source`.

        `used` are sources that are taken already. The same specs and sources give the same choice.
        """
        ...


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
