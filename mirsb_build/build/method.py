"""The method: the seven stages, top to bottom, whatever runs their shards."""

from __future__ import annotations

from mirsb_build.build.context import Build, EachShard, Outcome


def seven_stages(build: Build, each_shard: EachShard) -> Outcome:
    """The method: seeds, rounds of the refinement loop over what is still open, review, publication.

    With targets there are more seeds and rounds until every cell has its instances, or can get no more.
    """
    growth = build.growth()
    writings = 0
    while True:
        if orders := growth.orders():
            growth.written(each_shard(build, build.seeds, orders, writings))
            writings += 1
        candidates = build.in_order(growth.next_round())
        if not candidates and not growth.refuse(build.turned_down(growth.passed)):
            break
        if candidates:
            drafts = each_shard(build, build.decompose, candidates, growth.rounds)
            allotted = build.allotment.allot(drafts, beside=growth.passed)
            pictured = each_shard(build, build.synthesize, allotted, growth.rounds)
            compared = build.compare.attach(pictured, beside=growth.passed)
            growth.judged(each_shard(build, build.filter, compared, growth.rounds))

    passed = build.in_order(growth.passed)
    items = each_shard(build, build.review_export, passed)
    instances = each_shard(build, build.review_import(items), passed)
    awaiting = sum(instance.outcome == "awaiting" for instance in instances)
    if not awaiting and any(instance.outcome == "accepted" for instance in instances):
        each_shard(build, build.publish, instances)
    return Outcome(growth.candidates, len(passed), growth.rounds, writings, awaiting)
