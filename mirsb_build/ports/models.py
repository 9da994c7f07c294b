"""Text models: anything that answers a request, and how stages ask one by role."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from mirsb_build.config.reply_schemas import ReplyModel
from mirsb_build.records import Exclusion, Message, ModelCall, Reply, ReplyKind, Request

R = TypeVar("R", bound=ReplyModel)


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
