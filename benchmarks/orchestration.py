"""How much of a full-size offline build is orchestration: keys, shards, locks, the start and the end of it all.

The published benchmark has 2,676 instances; the build is sized so that at least as many pass. What is measured is the
time during which neither a shard nor the report is at work.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.results import Row
from mirsb_build.build.context import open_context
from mirsb_build.build.method import seven_stages
from mirsb_build.build.scheduler import Made, Make, Records, Run, Threads, at_work
from mirsb_build.build.shards import ShardTask
from mirsb_build.history import History
from mirsb_build.records import BuildOrder
from mirsb_build.views import funnel, write_report

INSTANCES = 2_676
SETTINGS = ("review.mode=simulated", "seeds.per_category=56")
BAR = 0.10


class Timed(Threads):
    """Threads that add up the wall time during which at least one shard is at work."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._lock = threading.Lock()
        self._active = 0
        self._since = 0.0
        self.busy = 0.0

    def run(self, tasks: Sequence[ShardTask], make: Make, *, out: bool) -> Iterator[Made]:
        def timed(task: ShardTask, run: Run | None) -> Records:
            self._count(1)
            try:
                return make(task, run)
            finally:
                self._count(-1)

        return super().run(tasks, timed, out=out)

    def _count(self, change: int) -> None:
        now = time.monotonic()
        with self._lock:
            if self._active:
                self.busy += now - self._since
            self._active += change
            self._since = now


def measure() -> list[Row]:
    """Rows of the table; takes some minutes."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        context = open_context(BuildOrder(build="bench", store=str(Path(folder) / "store"), settings=SETTINGS))
        runner = Timed(context.profile.runner.workers)
        with at_work(context, runner) as scheduler:
            scheduler.end(seven_stages(context, scheduler))
            began = time.monotonic()
            history = History(context.store, context.name)
            write_report(history)
            report = time.monotonic() - began
        wall = time.monotonic() - started
        passed = funnel(history).passed
    idle = wall - runner.busy - report
    return [
        Row("instances that passed the checks", passed, "", bar=f">= {INSTANCES}", met=passed >= INSTANCES),
        Row("wall time", wall, "s"),
        Row("  report", report, "s"),
        Row("time with nothing at work", idle, "s"),
        Row("orchestration share", idle / wall, "of wall", bar=f"< {BAR:.0%}", met=idle / wall < BAR),
    ]
