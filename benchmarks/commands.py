"""How fast the commands answer that people wait for: help, and a build that has nothing left to do."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.results import Row

MIRSB = str(Path(sys.executable).with_name("mirsb"))


def measure() -> list[Row]:
    """Medians of five runs; the demo that comes first is one run."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"PREFECT_HOME": str(Path(folder) / "prefect"), "CI": "true"}
        bare = statistics.median(_seconds([sys.executable, "-c", ""], environment) for _ in range(5))
        help_ = statistics.median(_seconds([MIRSB, "--help"], environment) for _ in range(5))
        demo = [MIRSB, "demo", "--store", str(Path(folder) / "store")]
        first = _seconds(demo, environment)
        again = statistics.median(_seconds(demo, environment) for _ in range(5))
    return [
        Row("python -c ''", bare, "s"),
        Row("mirsb --help", help_, "s", bar="< 0.4 s", met=help_ < 0.4),
        Row("mirsb demo, first", first, "s", bar="< 60 s", met=first < 60),
        Row("mirsb demo, again", again, "s", bar="< 5 s", met=again < 5),
    ]


def _seconds(command: list[str], environment: dict[str, str]) -> float:
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    return time.monotonic() - started
