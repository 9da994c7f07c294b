"""Rows of a measurement, printed as a table and kept as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

FOLDER = Path(__file__).with_name("results")


@dataclass(frozen=True)
class Row:
    """One figure, with the bar it is held against."""

    name: str
    value: float
    unit: str
    bar: str = ""
    met: bool | None = None


def show(benchmark: str, rows: Sequence[Row]) -> None:
    """Print a table."""
    print(f"\n{benchmark}")
    for row in rows:
        value = f"{row.value:,.0f}" if float(row.value).is_integer() else f"{row.value:.3f}"
        verdict = "" if row.met is None else f"bar {row.bar}: {'met' if row.met else 'MISSED'}"
        print(f"  {row.name:<40} {value:>12} {row.unit:<8} {verdict}")


def keep(benchmark: str, rows: Sequence[Row]) -> Path:
    """Write the rows with date and machine; a later run of the same day replaces an earlier one."""
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / f"{date.today().isoformat()}-{benchmark}.json"
    kept = {
        "benchmark": benchmark,
        "date": date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "rows": [asdict(row) for row in rows],
    }
    file.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    return file
