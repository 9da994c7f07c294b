"""What a build costs that stands: memory of the driver, and the commands that look at it or run it again.

The program is measured as its users run it, process by process, at the published size and, with
`python -m benchmarks standing_large`, at four times that.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.results import Row

MIRSB = str(Path(sys.executable).with_name("mirsb"))
SEEDS_PER_CATEGORY = 56
"""3,024 candidates."""
MEGABYTE = 1_000_000


def measure(seeds_per_category: int = SEEDS_PER_CATEGORY) -> list[Row]:
    """Rows of the table; some minutes a thousand candidates."""
    candidates = seeds_per_category * 54
    full = seeds_per_category == SEEDS_PER_CATEGORY
    with tempfile.TemporaryDirectory() as folder:
        store = ("--store", str(Path(folder) / "store"))
        build = ("build", "large", "--seeds-per-category", str(seeds_per_category), "--set", "review.mode=simulated")
        first, peak = run([*build, *store])
        again = statistics.median(run([*build, *store])[0] for _ in range(3))
        status = statistics.median(run(["status", "large", "--json", *store])[0] for _ in range(3))
        plan = statistics.median(run(["plan", "new", *store])[0] for _ in range(3))
        read = images_opened([*build, *store], str(Path(folder) / "store/blobs"))
    return [
        Row("candidates", candidates, ""),
        Row("build", first, "s"),
        Row("driver's peak memory", peak, "MB", *(("<= 500", peak <= 500) if full else ())),
        Row("run with nothing to do", again, "s", *(("<= 3", again <= 3) if full else ())),
        Row("  files of images opened by it", read, "", bar="0", met=read == 0),
        Row("status", status, "s", *(("<= 1.5", status <= 1.5) if full else ())),
        Row("plan of a new build", plan, "s", bar="< 1", met=plan < 1),
    ]


def run(arguments: Sequence[str]) -> tuple[float, float]:
    """Wall seconds and peak resident megabytes of one command."""
    began = time.monotonic()
    process = subprocess.Popen([MIRSB, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, code, used = os.wait4(process.pid, 0)
    assert code == 0, f"mirsb {' '.join(arguments)} ended with {code}"
    unit = 1 if sys.platform == "darwin" else 1024
    return time.monotonic() - began, used.ru_maxrss * unit / MEGABYTE


def images_opened(arguments: Sequence[str], folder: str) -> int:
    """How many files below a folder a command opens, told by Python's own audit events."""
    script = (
        "import sys\n"
        "opened = []\n"
        f"def hook(event, arguments):\n"
        f"    if event == 'open' and str(arguments[0]).startswith({folder!r}): opened.append(arguments[0])\n"
        "sys.addaudithook(hook)\n"
        "from mirsb_build.cli.app import main\n"
        f"sys.argv = ['mirsb', *{list(arguments)!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(len(opened), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(done.stderr.split()[-1])
