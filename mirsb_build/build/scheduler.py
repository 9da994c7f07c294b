"""The scheduler: passes of stages cut into shards, the finished ones read, the others made by whatever runs them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from pydantic import BaseModel

from mirsb_build.build.context import Context
from mirsb_build.build.finish import conclude
from mirsb_build.build.method import Ended, seven_stages
from mirsb_build.build.shards import ShardTask, blobs_of, calls_of
from mirsb_build.config.profiles import Profile
from mirsb_build.history import Course, Pass, delete_finish, write_note
from mirsb_build.records import Candidate
from mirsb_build.runtime.progress import Step, report
from mirsb_build.stages import Stage
from mirsb_build.store import Shard, build_lock

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
Records = list[Any]
Made = tuple[ShardTask, Records]
Run = Callable[[ShardTask], Records]
"""Runs a shard somewhere else."""
Make = Callable[[ShardTask, Run | None], Records]
"""Makes a shard in a thread of this process and stores it; with a `Run`, that does the stage's own work."""

SHARDS_IN_A_BATCH = 256
"""Shards at once where models answer in batches: those are large only if many shards wait for them together."""


class Runner(Protocol):
    """Whatever makes shards side by side: threads of this process, tasks of a Prefect flow."""

    def run(self, tasks: Sequence[ShardTask], make: Make, *, out: bool) -> Iterator[Made]:
        """Make each shard, in any order; `out` allows another process."""
        ...


class Threads:
    """Makes shards in threads of this process."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(self, tasks: Sequence[ShardTask], make: Make, *, out: bool) -> Iterator[Made]:
        """An error ends the pass once the shards under way are over, and those are kept."""
        threads = ThreadPoolExecutor(self._workers, thread_name_prefix="shards")
        try:
            futures = {threads.submit(make, task, None): task for task in tasks}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except Exception:
            threads.shutdown(wait=True, cancel_futures=True)
            raise
        finally:  # Ctrl-C does not wait: what is under way is made again by the next run
            threads.shutdown(wait=False, cancel_futures=True)


class Scheduler:
    """Runs the passes of one build, in the order that the method calls them."""

    def __init__(self, context: Context, runner: Runner, portal: BlockingPortal) -> None:
        self.context = context
        self._runner = runner
        self._portal = portal
        self._course = Course(context.store, context.name)
        self._changed = False

    def __call__(self, stage: Stage[In, Out], records: Sequence[In], round: int = 0) -> list[Out]:
        """One pass of a stage: finished shards are read, the others made; the records come back in order."""
        context = self.context
        tasks = tasks_of(context, stage, records, round)
        self._course.enter(Pass(stage=stage.name, round=round, shards=tuple(t.key for t in tasks), new=_new(records)))
        context.store.keep_shards(context.name, stage.name, round, len(tasks))
        found = {task.n: finished(context, stage, task) for task in tasks}
        results = {n: result for n, result in found.items() if result is not None}
        missing = [task for task in tasks if task.n not in results]
        self._charge([record for result in results.values() for record in result])
        done = sum(len(task.records) for task in tasks if task.n in results)
        report(Step(stage.name, round, done, len(records)))
        if missing:
            self._begin_making()
        made = self._runner.run(missing, partial(self._make, stage), out=stage.runs == "anywhere")
        for task, result in made:
            results[task.n] = result
            done += len(task.records)
            report(Step(stage.name, round, done, len(records)))
        return [record for n in sorted(results) for record in results[n]]

    def _begin_making(self) -> None:
        """What the finish of an earlier run says does not hold any more."""
        if not self._changed:
            delete_finish(self.context.store, self.context.name)
            self._changed = True

    def _charge(self, records: Records) -> None:
        """Count the calls that finished records rest on towards the budget, each once."""
        for id, cost in calls_of(records):
            self.context.ledger.note(id, cost)

    def _make(self, stage: Stage[Any, Any], task: ShardTask, run: Run | None) -> Records:
        """Make one shard, here or elsewhere, add what is the driver's, and store it."""
        results = run(task) if run else self._portal.call(stage.run, task.records)
        settled = self._portal.call(stage.settle, results)
        self._charge(settled)
        shard = Shard(task.key, settled, blobs_of(settled))
        self.context.store.write_shard(self.context.name, task.stage, task.round, task.n, shard)
        return settled

    def end(self, ended: Ended) -> None:
        """Forget what an earlier, longer run of this build left behind."""
        store, name = self.context.store, self.context.name
        self._course.end()
        store.keep_rounds(name, ("seeds",), last=ended.writings - 1)
        store.keep_rounds(name, ("decompose", "synthesize", "filter"), last=ended.rounds)


def _new(records: Sequence[object]) -> tuple[tuple[str, str], ...]:
    return tuple((r.seed_query.id, r.relation_type) for r in records if isinstance(r, Candidate) and r.round == 0)


def tasks_of(context: Context, stage: Stage[Any, Any], records: Sequence[Any], round: int) -> list[ShardTask]:
    """The pass of a stage cut into shards."""
    return [
        ShardTask(order=context.order, stage=stage.name, round=round, n=n, key=stage.key(cut), records=tuple(cut))
        for n, cut in enumerate(stage.cut(records, context.profile.limits.shard_size))
    ]


def finished(context: Context, stage: Stage[Any, Out], task: ShardTask) -> list[Out] | None:
    """The records of a shard that is there and still true; None if it has to be made."""
    shard = context.store.read_shard(context.name, task.stage, task.round, task.n, stage.returns, task.key)
    return shard.records if shard and stage.intact(shard.records) else None


class Unfinished(Exception):
    """Raised by `only_finished` at the first pass of a stage that is not finished."""

    def __init__(
        self, stage: Stage[Any, Any], round: int, records: Sequence[Any], missing: Sequence[ShardTask]
    ) -> None:
        super().__init__(stage.name)
        self.stage = stage
        self.round = round
        self.records = records
        self.missing = missing


def only_finished(context: Context) -> Callable[..., list[Any]]:
    """Passes that are finished, read; raises Unfinished, and makes nothing, at the first that is not."""

    def read(stage: Stage[Any, Any], records: Sequence[Any], round: int = 0) -> list[Any]:
        tasks = tasks_of(context, stage, records, round)
        found = [(task, finished(context, stage, task)) for task in tasks]
        if missing := [task for task, result in found if result is None]:
            raise Unfinished(stage, round, records, missing)
        return [record for _, result in found for record in result or ()]

    return read


# A whole run.


def shards_at_once(profile: Profile) -> int:
    """How many shards this process makes side by side."""
    batches = any(choice.mode == "batch" for choice in profile.models.values())
    return max(profile.runner.workers, SHARDS_IN_A_BATCH if batches else 0)


def run_build(context: Context, runner: Runner) -> Ended:
    """Run what is left of a build, as far as it goes; its report and its finish are written at the end."""
    with at_work(context, runner) as scheduler:
        ended = seven_stages(context, scheduler)
        scheduler.end(ended)
        conclude(context)
    return ended


@contextmanager
def at_work(context: Context, runner: Runner) -> Generator[Scheduler]:
    """Hold the build, note what it is made with, and run the event loop that all its shards share.

    One loop for all shards, so that connections, limits and running calls are shared too.
    """
    context.check_ready()
    with build_lock(context.store.files, context.name), start_blocking_portal() as portal:
        context.read_anew()
        if write_note(context.store, context.note):
            delete_finish(context.store, context.name)
        try:
            yield Scheduler(context, runner, portal)
        finally:
            portal.call(context.images.close)
