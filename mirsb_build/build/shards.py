"""Shards as data: what it takes to make one, and how another process makes it."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import BaseModel

from mirsb_build.build.context import Context, open_context
from mirsb_build.records import BuildOrder, Candidate, Record, SeedBatch


class ShardTask(Record):
    """One shard of one pass of a stage: everything that it takes to make it, in any process.

    It can be pickled. The stage is opened again from the order; all that differs from shard to shard is in the records.
    """

    order: BuildOrder
    stage: str
    round: int
    n: int
    key: str
    """What the shard's key has to be for it to count as finished."""
    records: tuple[Any, ...]

    @property
    def name(self) -> str:
        """How progress and Prefect call it."""
        return f"{self.stage}, round {self.round}, shard {self.n}"


def run_shard(task: ShardTask) -> list[BaseModel]:
    """Make a shard in this process, whatever process that is; the driver settles and stores the result.

    The context and one event loop stay open for the shards to come.
    """
    context, portal = _opened(task.order.model_dump_json())
    return portal.call(context.stage_of(task.stage).run, task.records)


@lru_cache(maxsize=1)
def _opened(order: str) -> tuple[Context, BlockingPortal]:
    portal_context = start_blocking_portal()
    portal = portal_context.__enter__()
    context = open_context(BuildOrder.model_validate_json(order))

    def close() -> None:
        portal.call(context.images.close)
        portal_context.__exit__(None, None, None)

    atexit.register(close)
    return context, portal


def blobs_of(records: Sequence[object]) -> dict[str, int]:
    """The blobs that records speak of, and their lengths, 0 where a record does not know it."""
    images = [p.image for r in records if isinstance(r, Candidate) for p in r.pictures if p.image]
    return {image.blob: image.length for image in images}


def calls_of(records: Sequence[object]) -> list[tuple[str, float]]:
    """Ids and costs of the model calls that records rest on."""
    calls = [call for r in records if isinstance(r, (Candidate, SeedBatch)) for call in r.calls]
    calls += [call for r in records if isinstance(r, Candidate) for verdict in r.verdicts for call in verdict.calls]
    return [(call.id, call.cost) for call in calls]
