"""Numbers of instances: given once in a cell, kept through all releases of a build, never given to another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mirsb_build.records import Cell, Instance
from mirsb_build.releases import Manifest
from mirsb_build.releases.manifest import cell_name

Numbers = Mapping[str, Mapping[str, int]]
"""Cell's name -> instance -> number."""
Numbered = list[tuple[int, Instance]]


def number(instances: Iterable[Instance], given: Numbers) -> Numbered:
    """The instances in a release's order, each with its number in the (category, relation type) cell, from 1.

    Those that have one keep it; the others get the next ones of their cell, by id. The order, cell by cell and by
    number, does not depend on how the build ran.
    """
    cells: dict[Cell, list[Instance]] = {}
    for instance in sorted(instances, key=lambda i: i.id):
        cells.setdefault(instance.candidate.cell, []).append(instance)
    rows: Numbered = []
    for cell, group in sorted(cells.items()):
        known = given.get(cell_name(cell), {})
        following = 1 + max(known.values(), default=0)
        fresh = {i.id: following + n for n, i in enumerate(i for i in group if i.id not in known)}
        rows += sorted(((known.get(i.id) or fresh[i.id], i) for i in group), key=lambda row: row[0])
    return rows


def merge_numbers(earlier: Sequence[Manifest], rows: Iterable[tuple[int, Instance]] = ()) -> dict[str, dict[str, int]]:
    """All numbers that were given in these releases, and those of `rows`."""
    merged: dict[str, dict[str, int]] = {}
    for manifest in earlier:
        for cell, numbers in manifest.numbers.items():
            merged.setdefault(cell, {}).update(numbers)
    for given, instance in rows:
        merged.setdefault(cell_name(instance.candidate.cell), {})[instance.id] = given
    return {cell: dict(sorted(numbers.items(), key=lambda item: item[1])) for cell, numbers in sorted(merged.items())}
