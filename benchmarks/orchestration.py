"""How much of a full-size offline build is orchestration: Prefect, shards, locks, the start and the end of it all.

The published benchmark has 2,676 instances; the build is sized so that at least as many pass. Measured in one run:

- `flow`: `mirsb build` in-process, as a user runs it, and the time in it during which neither a stage nor the report
  was at work;
- `plain`: the same stages in two threads of one process, without Prefect, as the reference for the ratio.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.results import Row

INSTANCES = 2_676
SEEDS_PER_CATEGORY = 56
SETTINGS = ["review.mode=simulated", f"seeds.per_category={SEEDS_PER_CATEGORY}"]
BAR = 0.10


class Clock:
    """Adds up the wall time during which at least one shard is at work."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active = 0
        self._since = 0.0
        self.busy = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._active == 0:
                self._since = time.monotonic()
            self._active += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._active -= 1
            if self._active == 0:
                self.busy += time.monotonic() - self._since


def measure() -> list[Row]:
    """Rows of the table; takes some minutes."""
    from mirsb_build.cli.prefect_runtime import quiet_prefect

    quiet_prefect()
    with tempfile.TemporaryDirectory() as folder:
        flow, busy, passed = _flow(str(Path(folder) / "flow"))
        plain = _plain(str(Path(folder) / "plain"))
    share = 1 - busy / flow
    return [
        Row("instances that passed the checks", passed, "", bar=f">= {INSTANCES}", met=passed >= INSTANCES),
        Row("flow: wall time", flow, "s"),
        Row("flow: time with nothing at work", flow - busy, "s"),
        Row("orchestration share", share, "of wall", bar=f"< {BAR:.0%}", met=share < BAR),
        Row("plain threads: wall time", plain, "s"),
        Row("flow / plain", flow / plain, "x"),
    ]


def _flow(store: str) -> tuple[float, float, int]:
    """Wall seconds of the flow from its import on, seconds with something at work, and how many passed."""
    started = time.monotonic()
    from mirsb_build import flow as module
    from mirsb_build.build.context import Context
    from mirsb_build.history import History
    from mirsb_build.store import Store
    from mirsb_build.views import funnel

    clock = Clock()

    def timed(call: Callable[..., Any]) -> Callable[..., Any]:
        def inner(*args: Any) -> Any:
            with clock:
                return call(*args)

        return inner

    with (
        patch.object(Context, "run", timed(Context.run)),
        patch.object(module, "write_report", timed(module.write_report)),
    ):
        module.build_mirsb("bench", "offline", store, SETTINGS)
    wall = time.monotonic() - started
    return wall, clock.busy, funnel(History(Store(store), "bench")).passed


def _plain(store: str) -> float:
    """Wall seconds of the same stages in two threads, without Prefect."""
    from mirsb_build.build.context import open_context
    from mirsb_build.build.method import seven_stages
    from mirsb_build.records import BuildOrder
    from mirsb_build.views import write_report

    started = time.monotonic()
    build = open_context(BuildOrder(build="bench", store=store, settings=tuple(SETTINGS)))
    with build.working(), ThreadPoolExecutor(2) as threads:

        def each_shard(build: Any, stage: Any, records: Sequence[Any], round: int = 0) -> list[Any]:
            made = threads.map(build.run, build.shards(stage, round, records))
            return [record for shard in made for record in shard]

        seven_stages(build, each_shard)
        write_report(build.store, build.name)
    return time.monotonic() - started
