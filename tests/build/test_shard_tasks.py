"""A shard as data: pickled, made in another process, and the same there."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

from mirsb_build.build.context import open_context
from mirsb_build.build.scheduler import tasks_of
from mirsb_build.build.shards import ShardTask
from mirsb_build.records import Candidate
from tests.factories import at_work, begun, order

ELSEWHERE = """
import pickle, sys
from mirsb_build.build.shards import run_shard
sys.stdout.buffer.write(pickle.dumps(run_shard(pickle.load(sys.stdin.buffer))))
"""


def in_another_process(task: ShardTask) -> list[Candidate]:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickle.dumps(task), capture_output=True, check=True)
    return pickle.loads(done.stdout)


def test_pictures_and_local_checks_of_a_shard_are_the_same_in_another_process(folder: Path) -> None:
    build = open_context(order(folder, "relation_types=[Analogy, Relevance]"))
    with at_work(build) as each_shard:
        drafts = each_shard(build.decompose, begun(build, each_shard(build.seeds, build.growth().orders())), 1)
        (drawing,) = tasks_of(build, build.synthesize, build.allotment.allot(drafts), 1)
        pictured = in_another_process(drawing)
        assert pictured == each_shard(build.synthesize, drawing.records, 1)
        assert build.images.images_made == 0, "the other process drew them, into the same store"
        (judging,) = tasks_of(build, build.filter, build.compare.attach(pictured, beside=()), 1)
        assert in_another_process(judging) == each_shard(build.filter, judging.records, 1)


def test_a_task_says_all_that_it_takes_and_survives_pickling(folder: Path) -> None:
    build = open_context(order(folder))
    task = tasks_of(build, build.seeds, build.growth().orders(), 0)[1]
    again = pickle.loads(pickle.dumps(task))
    assert again == task
    assert (again.order, again.name) == (build.order, "seeds, round 0, shard 1")
