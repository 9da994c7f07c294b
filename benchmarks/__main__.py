"""`python -m benchmarks [NAME ...]`: run the benchmarks, print their tables, keep their results."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.results import keep, show

BENCHMARKS = ("checks", "commands", "engine", "filtering", "images", "orchestration", "rejudging", "standing")


def main(names: list[str]) -> int:
    """Run those named, all by default; 1 when a bar was missed."""
    missed = False
    for name in names or BENCHMARKS:
        rows = import_module(f"benchmarks.{name}").measure()
        show(name, rows)
        keep(name, rows)
        missed |= any(row.met is False for row in rows)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
