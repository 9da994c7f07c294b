"""The same as `standing` at four times the published size, with the growth of memory between the two."""

from __future__ import annotations

from benchmarks import standing
from benchmarks.results import Row

TIMES = 4


def measure() -> list[Row]:
    """Rows of both sizes; about half an hour."""
    small = standing.measure()
    large = standing.measure(TIMES * standing.SEEDS_PER_CATEGORY)
    by = [{row.name: row.value for row in rows} for rows in (small, large)]
    growth = (by[1]["driver's peak memory"] - by[0]["driver's peak memory"]) * 1000
    growth /= by[1]["candidates"] - by[0]["candidates"]
    again = by[1]["run with nothing to do"] / by[0]["run with nothing to do"]
    return [
        *small,
        *large,
        Row("memory's growth", growth, "KB a candidate", bar="<= 60", met=growth <= 60),
        Row("run with nothing to do, larger / smaller", again, "x", bar="<= 4", met=again <= 4),
    ]
