"""The flow `build-mirsb`: the method run as tasks that a Prefect server shows, one a shard.

`mirsb build --prefect` runs it in-process, `prefect deploy --all` makes it the deployment `build-mirsb/local`. The
method itself is `build/method.py` and knows nothing of Prefect.
"""

from __future__ import annotations

import pickle
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, cast

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from mirsb_build.build.context import open_context
from mirsb_build.build.scheduler import Made, Make, Records, Runner, run_build, shards_at_once
from mirsb_build.build.shards import ShardTask, run_shard
from mirsb_build.config.profiles import Profile
from mirsb_build.defaults import DEFAULT_STORE
from mirsb_build.errors import UsageError
from mirsb_build.records import BuildOrder

WAITING = "Waiting for review"


@flow(name="build-mirsb", persist_result=False)
def build_mirsb(
    build: str,
    profile: str = "offline",
    store: str = DEFAULT_STORE,
    settings: list[str] | None = None,
    retry_dead: bool = False,
) -> State[Any]:
    """Run a build as far as it goes: to a release, or to the point where people have to decide."""
    order = BuildOrder(build=build, profile=profile, store=store, settings=tuple(settings or ()), retry_dead=retry_dead)
    context = open_context(order)
    with runner_of(context.profile) as runner:
        ended = run_build(context, runner)
    if ended.awaiting:
        return Completed(name=WAITING, message=f"{ended}; {ended.awaiting} await review")
    return Completed(message=f"{ended}; released")


@contextmanager
def runner_of(profile: Profile) -> Generator[Runner]:
    """What makes the shards of a build: Prefect tasks in threads, or in the processes of a Dask cluster."""
    threads = cast(TaskRunner[Any], ThreadPoolTaskRunner(max_workers=shards_at_once(profile)))
    with threads as here:
        if profile.runner.kind == "dask":
            with _dask(profile.runner.workers) as elsewhere:
                yield Tasks(here, elsewhere, profile.runner.workers)
        else:
            yield Tasks(here)


class Tasks:
    """Makes shards as Prefect tasks, in threads of this process or, where a stage allows it, in others."""

    def __init__(self, here: TaskRunner[Any], elsewhere: TaskRunner[Any] | None = None, workers: int = 1) -> None:
        self._here = here
        self._elsewhere = elsewhere
        self._workers = workers

    def run(self, tasks: Sequence[ShardTask], make: Make, *, out: bool) -> Iterator[Made]:
        """As `Runner` says."""
        return self._out(tasks, make) if out and self._elsewhere else self._in(tasks, make)

    def _in(self, tasks: Sequence[ShardTask], make: Make) -> Iterator[Made]:
        futures = {self._here.submit(make_here, {"make": quote(make), "shard": quote(t)}): t for t in tasks}
        for future in as_completed(list(futures)):
            yield futures[future], future.result()

    def _out(self, tasks: Sequence[ShardTask], make: Make) -> Iterator[Made]:
        """Twice as many shards under way as workers, so that none waits while the driver stores one."""
        elsewhere = cast(TaskRunner[Any], self._elsewhere)

        def run(shard: ShardTask) -> Records:
            made = elsewhere.submit(make_elsewhere, {"name": shard.name, "shard": pickle.dumps(shard)}).result()
            return pickle.loads(made)

        with ThreadPoolExecutor(2 * self._workers) as threads:
            futures = [threads.submit(copy_context().run, make, shard, run) for shard in tasks]
            for shard, future in zip(tasks, futures, strict=True):
                yield shard, future.result()


@task(task_run_name="{shard.name}", cache_policy=NO_CACHE, persist_result=False)
def make_here(make: Make, shard: ShardTask) -> Records:
    """Make one shard in this process."""
    return make(shard, None)


@task(task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def make_elsewhere(name: str, shard: bytes) -> bytes:
    """Make one shard in a worker's process; pickled both ways, or Prefect would look for futures in every record."""
    return pickle.dumps(run_shard(pickle.loads(shard)))


def _dask(workers: int) -> TaskRunner[Any]:
    """A Dask cluster of processes with one thread each, for work that takes the processor."""
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise UsageError("runner.kind dask needs prefect-dask; pip install 'mirsb-build[dask]'") from error
    cluster = {"n_workers": workers, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    return cast(TaskRunner[Any], DaskTaskRunner(cluster_kwargs=cluster))
