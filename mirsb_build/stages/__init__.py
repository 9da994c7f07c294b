"""The seven stages, in order; each is one class that says how its work is cut, keyed and made.

    seeds -> decompose -> synthesize -> filter -> review_export -> review_import -> publish

A stage takes typed records and returns typed records. Its `key` names everything that its result depends on, so that a
finished shard is used again exactly as long as nothing it was made from has changed. Two steps stand between stages
and see a whole pass: the allotment of a stock of pictures, and the comparison of all candidates with one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeVar

from pydantic import BaseModel

from mirsb_build.stages.estimate import Estimate

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
R = TypeVar("R")

Runs = Literal["driver", "anywhere"]
"""Where `run` may be called: in the driver, which has the models' connections and the budget, or in any process."""


class Stage(Protocol[In, Out]):
    """What a build needs of a stage."""

    name: str
    returns: type[Out]

    @property
    def runs(self) -> Runs:
        """Where its shards may be made; `anywhere` takes only the processor, a GPU and the store."""
        return "driver"

    def cut(self, records: Sequence[In], size: int) -> list[Sequence[In]]:
        """The records of a pass, cut into shards.

        `size` is the profile's number of candidates a shard. Stages that see the whole build at once make one shard.
        """
        return [records]

    def key(self, records: Sequence[In]) -> str:
        """Hash of all that the result for these records depends on."""
        ...

    async def run(self, records: Sequence[In]) -> list[Out]:
        """The result for one shard."""
        ...

    async def settle(self, results: list[Out]) -> list[Out]:
        """What the driver adds to the results of one shard before they are stored: answers of models, for example."""
        return results

    def intact(self, results: Sequence[Out]) -> bool:
        """Whether a finished shard may be used: what it names in the store is there, nothing is to be tried again."""
        return True

    def estimate(self, records: Sequence[In]) -> Estimate:
        """What the stage would take for these records; nothing, where it asks no model and makes no image."""
        return Estimate()


def in_shards_of(size: int, records: Sequence[R]) -> list[Sequence[R]]:
    """The records in groups of `size`, the last one smaller."""
    return [records[start : start + size] for start in range(0, len(records), size)]
