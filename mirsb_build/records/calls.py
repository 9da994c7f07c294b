"""Calls of models: what is asked, what is answered, and how records cite a call."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from mirsb_build.records.base import Record, content_hash


class Usage(Record):
    """Tokens and images of one model call."""

    prompt_tokens: int = Field(default=0, ge=0)
    """All of the prompt, cached or not."""
    cached_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    """All of the answer, reasoning included."""
    reasoning_tokens: int = Field(default=0, ge=0)
    images: int = Field(default=0, ge=0)
    """Images that a model drew."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            images=self.images + other.images,
        )


ReplyKind = Literal["usable", "fenced", "chatty", "truncated", "invalid", "empty", "refused", "filtered", "rejected"]
"""What a reply was: JSON as asked; JSON in a code fence or between sentences; cut off at the token limit; not what the
schema asks for; nothing; a refusal, in its field or in words; stopped by a content filter; a request not taken."""


class ModelCall(Record):
    """One call of a text model, as records cite it; request and reply lie in the call cache under `id`."""

    id: str
    """SHA-256 of the canonical request: the key in the call cache."""
    role: str
    model: str
    prompt: str
    """Name of the prompt template, for example `decompose/Analogy`; empty for a free-form call, as is its hash."""
    prompt_hash: str
    reply_hash: str
    outcome: ReplyKind = "usable"
    """What the reply was, whether or not it could be used in the end."""
    usage: Usage = Usage()
    cost: float = Field(default=0.0, ge=0)
    """In the currency of the model's prices."""


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
