"""The flow `build-mirsb`: the seven stages, top to bottom.

`mirsb build` runs it in-process; `prefect deploy --all` makes it the deployment `build-mirsb/local`. A pass of a stage
is cut into shards, one Prefect task each; a shard that is finished and still true is read, not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

from prefect import State, flow, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import as_completed
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from mirsb_build import DEFAULT_STORE
from mirsb_build.build.context import Build, Pass, Work, open_build
from mirsb_build.build.method import seven_stages
from mirsb_build.config.profiles import Profile
from mirsb_build.records import BuildOrder
from mirsb_build.views import write_report

WAITING = "Waiting for review"
SHARDS_IN_A_BATCH = 256


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
    opened = open_build(order)
    with opened.working(), task_runner(opened.profile) as runner:
        outcome = seven_stages(opened, partial(run_shards, runner))
        opened.finish(outcome)
        write_report(opened.store, opened.name)
    if outcome.awaiting:
        return Completed(name=WAITING, message=f"{outcome}; {outcome.awaiting} await review")
    return Completed(message=f"{outcome}; released")


def run_shards(runner: TaskRunner[Any], build: Build, stage: Any, records: Sequence[Any], round: int = 0) -> list[Any]:
    """One pass of a stage: finished shards are read, the others run as tasks; the records come back in order."""
    todo = Pass(build, stage, records, round)
    tasks = {runner.submit(run_shard, {"build": quote(build), "work": quote(work)}): work for work in todo.missing}
    for future in as_completed(list(tasks)):
        todo.done(tasks[future], future.result())
    return todo.records()


@task(task_run_name="{work.name}", cache_policy=NO_CACHE, persist_result=False)
def run_shard(build: Build, work: Work) -> list[Any]:
    """Make one shard."""
    return build.run(work)


def task_runner(profile: Profile) -> TaskRunner[Any]:
    """The task runner that the profile asks for; batches want all shards to wait at once, so that they are large."""
    batches = any(choice.mode == "batch" for choice in profile.models.values())
    workers = max(profile.runner.workers, SHARDS_IN_A_BATCH if batches else 0)
    return cast(TaskRunner[Any], ThreadPoolTaskRunner(max_workers=workers))
