"""The seven stages, in order; each is one class with a `name`, a `key` and a `run`.

    seeds -> decompose -> synthesize -> filter -> review_export -> review_import -> publish

A stage takes typed records and returns typed records. Its `key` names everything that its result depends on, so that a
finished shard is used again exactly as long as nothing it was made from has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel

In = TypeVar("In", bound=BaseModel, contravariant=True)
Out = TypeVar("Out", bound=BaseModel)


class Stage(Protocol[In, Out]):
    """What a build needs of a stage."""

    name: str
    returns: type[Out]

    def key(self, records: Sequence[In]) -> str:
        """Hash of all that the result for these records depends on."""
        ...

    async def run(self, records: Sequence[In]) -> list[Out]:
        """The result for one shard."""
        ...

    def intact(self, results: Sequence[Out]) -> bool:
        """Whether what a finished shard speaks of, outside the shard itself, is still there."""
        return True
