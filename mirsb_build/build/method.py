"""The method: the seven stages, top to bottom, whatever runs their shards.

It knows no engine: `mirsb build` runs it in its own process, a Prefect flow runs it as tasks, a plan reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import BaseModel

from mirsb_build.build.context import Context
from mirsb_build.build.targets import Growth
from mirsb_build.stages import Stage

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)


class EachShard(Protocol):
    """How a pass of a stage is run: shard by shard, as tasks, or not at all."""

    def __call__(self, stage: Stage[In, Out], records: Sequence[In], round: int = 0) -> list[Out]: ...


@dataclass(frozen=True)
class Ended:
    """How far a build got."""

    candidates: int
    passed: int
    rounds: int
    writings: int
    """Passes of the seed stage."""
    awaiting: int
    """Instances that await review."""

    def __str__(self) -> str:
        return f"{self.passed} of {self.candidates} candidates passed in {self.rounds} rounds"


def seven_stages(build: Context, each_shard: EachShard, growth: Growth | None = None) -> Ended:
    """Seeds, rounds of the refinement loop over what is still open, review, publication.

    With targets there are more seeds and rounds until every cell has its instances, or can get no more.
    """
    growth = growth or build.growth()
    writings = 0
    while True:
        if orders := growth.orders():
            growth.add_seeds(each_shard(build.seeds, orders, writings))
            writings += 1
        candidates = build.in_order(growth.next_round())
        if not candidates and not growth.raise_targets(build.turned_down(growth.passed)):
            break
        if candidates:
            drafts = each_shard(build.decompose, candidates, growth.rounds)
            allotted = build.allotment.allot(drafts, beside=growth.passed)
            pictured = each_shard(build.synthesize, allotted, growth.rounds)
            compared = build.compare.attach(pictured, beside=growth.passed)
            growth.add_judged(each_shard(build.filter, compared, growth.rounds))

    passed = build.in_order(growth.passed)
    items = each_shard(build.review_export, passed)
    instances = each_shard(build.review_import(items), passed)
    awaiting = sum(instance.outcome == "awaiting" for instance in instances)
    if not awaiting and any(instance.outcome == "accepted" for instance in instances):
        each_shard(build.publish, instances)
    return Ended(growth.candidates, len(passed), growth.rounds, writings, awaiting)
