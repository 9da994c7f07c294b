"""What a stage would take for some records, so that a build can be planned before it is paid for."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from mirsb_build.records import Record, Request

CHARACTERS_PER_TOKEN = 4
"""Rule of thumb for English prose."""


class RoleCalls(Record):
    """Calls of one role's model."""

    role: str
    calls: float = 0
    """To be made; a fraction where it is an expectation."""
    cached: float = 0
    """That the call cache answers."""
    prompt_tokens: float = 0
    """Of the calls to be made."""
    reply_tokens: int = 0
    """Expected of one call; a model that thinks first takes more."""
    batchable: bool = False
    """Whether they may go in batches."""


class Estimate(Record):
    """What a stage would take."""

    by_role: tuple[RoleCalls, ...] = ()
    images: float = 0
    """To be made."""

    def scaled(self, share: float) -> Estimate:
        """The same for `share` times as many records, rounded up to whole calls, none of them cached."""
        return Estimate(
            by_role=tuple(
                RoleCalls(
                    role=one.role,
                    calls=ceil((one.calls + one.cached) * share),
                    prompt_tokens=round(one.prompt_tokens * share),
                    reply_tokens=one.reply_tokens,
                    batchable=one.batchable,
                )
                for one in self.by_role
            ),
            images=ceil(self.images * share),
        )


def tokens_of(requests: Sequence[Request]) -> int:
    """Prompt tokens of requests, by their length."""
    return sum(len(m.content) for request in requests for m in request.messages) // CHARACTERS_PER_TOKEN
