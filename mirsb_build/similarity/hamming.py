"""All pairs of binary codes that differ in few bits, by faiss."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_AT_ONCE = 20_000
"""Queries at once; bounds the memory that answers take."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of places, the first below the second, in order, with the bits in which they differ."""

    first: Places
    second: Places
    distance: Places

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        columns = (self.first.tolist(), self.second.tolist(), self.distance.tolist())
        return zip(*cast(tuple[list[int], list[int], list[int]], columns), strict=True)

    def neighbours(self) -> dict[int, list[tuple[int, int]]]:
        """For each place that has any: the places it is paired with, and the distances."""
        found: dict[int, list[tuple[int, int]]] = {}
        for a, b, apart in self:
            found.setdefault(a, []).append((b, apart))
            found.setdefault(b, []).append((a, apart))
        return found


def near_pairs(codes: Bytes, distance: int, bands: int, band_bits: int) -> Pairs:
    """The pairs of things that are at most `distance` bits apart.

    `codes` is (things, views, bytes); two things are as far apart as the first view of the one and the nearest view of
    the other. Only pairs that agree in at least one of the first `bands` bands of `band_bits` bits are compared, others
    are missed; wider bands miss more and look at less. Time grows with the number of things, as long as few are alike.
    """
    import faiss

    things, views, size = codes.shape
    if things < 2:
        return _pairs(np.empty((0, 2), dtype=np.int64), codes, distance)
    index: Any = faiss.IndexBinaryMultiHash(size * 8, bands, band_bits)
    index.add(np.ascontiguousarray(codes[:, 0]))
    found = [np.empty(0, dtype=np.int64)]
    step = max(1, _AT_ONCE // views)
    for start in range(0, things, step):
        queries = np.ascontiguousarray(codes[start : start + step].reshape(-1, size))
        answer: Any = index.range_search(queries, distance + 1)  # faiss gives what is nearer than the radius
        limits, _, hits = cast(tuple[Places, Any, Places], answer)
        asking = start + np.repeat(np.arange(len(queries)) // views, np.diff(limits.astype(np.int64)))
        apart = asking != hits
        low, high = np.minimum(asking, hits)[apart], np.maximum(asking, hits)[apart]
        found.append(np.unique(low * things + high))
    both = np.unique(np.concatenate(found))
    return _pairs(np.stack([both // things, both % things], axis=1), codes, distance)


def distances(one: Bytes, other: Bytes) -> Places:
    """Bits between things, pair by pair: both are (pairs, views, bytes); symmetric, 0 for the same codes."""
    there = np.bitwise_count(one[:, :1] ^ other).sum(axis=2, dtype=np.int64)
    back = np.bitwise_count(other[:, :1] ^ one).sum(axis=2, dtype=np.int64)
    return np.minimum(there.min(axis=1), back.min(axis=1))


def _pairs(places: Places, codes: Bytes, distance: int) -> Pairs:
    """Pairs with their distances, those that are too far apart left out."""
    apart = [
        distances(codes[places[start : start + _AT_ONCE, 0]], codes[places[start : start + _AT_ONCE, 1]])
        for start in range(0, len(places), _AT_ONCE)
    ]
    measured = np.concatenate([np.empty(0, dtype=np.int64), *apart])
    near = measured <= distance
    return Pairs(places[near, 0], places[near, 1], measured[near])
