"""Hashes of what a picture looks like, made while its pixels are in memory.

`perceptual_hash` is the 64-bit pHash that other tools know. `view_hashes` is what the duplicates check compares: one
hash for each of twelve views of the picture's middle, so that a copy that was cropped or turned a little still has a
view that agrees with the original. Measured in docs/checks.md by benchmarks/checks_image_duplicates.py.

Sums are of whole numbers that a float64 holds exactly, so every machine computes the same bits; `mirsb audit` counts
on that.
"""

from __future__ import annotations

from functools import cache

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Image as Pixels

Bytes = NDArray[np.uint8]
Numbers = NDArray[np.float64]

MIDDLE = 0.75
"""Share of each side that a view shows: what lies at the rim (captions, logos, the black corners of a turned copy) does
not count. With the whole picture recall fell from 0.99 to 0.91 at the same precision."""

VIEWS = (
    (1.0, 0.0, 0.0, 0.0),
    (1.0, 0.0, 0.0, -3.0),
    (1.0, 0.0, 0.0, 3.0),
    *((0.95, x, y, 0.0) for x in (-0.025, 0.0, 0.025) for y in (-0.025, 0.0, 0.025)),
)
"""Scale, shift to the right and down in shares of a side, and turn in degrees of each view; the first is the picture as
it is, the last nine are what crops of 5 % leave."""

VIEW_BYTES = 32
"""Bytes of one view's hash: 128 bits of each of two families, waves first."""

_SOURCE = 64
"""Pixels a side of the picture that views are sampled from."""
_SIDE = 36
"""Samples a side of a view."""
_CELLS = 9
"""Cells a side that the second family compares."""
_WAVES = 128
_ONE = 256
"""Fixed-point one of sampling weights and cosines."""


def perceptual_hash(pixels: Pixels) -> str:
    """64-bit pHash in hex."""
    return str(imagehash.phash(pixels))


def view_hashes(pixels: Pixels) -> str:
    """The hashes of all views in hex, one after the other, the picture as it is first; about 1 ms."""
    return hash_views(pixels).tobytes().hex()


def hash_views(pixels: Pixels) -> Bytes:
    """Array (views, 32): for each view the signs of its 128 lowest waves, then 128 edges between its cells."""
    small = pixels.convert("L").resize((_SOURCE, _SOURCE), Image.Resampling.BOX)
    views = _sampled(np.asarray(small, dtype=np.float64))
    return np.concatenate([_waves(views), _edges(views)], axis=1)


def read_views(text: str) -> Bytes:
    """What `view_hashes` wrote, as an array (views, 32); raises ValueError for anything else."""
    return np.frombuffer(bytes.fromhex(text), dtype=np.uint8).reshape(len(VIEWS), VIEW_BYTES)


def _sampled(source: Numbers) -> Numbers:
    """Array (views, side, side) of whole numbers: the views, sampled between the source's pixels."""
    places, weights = _grids()
    return np.einsum("kvyx,kvyx->vyx", source.ravel()[places], weights)


@cache
def _grids() -> tuple[NDArray[np.int64], Numbers]:
    """For each view and sample the four pixels around it and their weights, which sum to about `_ONE`."""
    along = (np.arange(_SIDE) + 0.5) / _SIDE - 0.5
    x, y = np.meshgrid(along, along)
    places: list[NDArray[np.int64]] = []
    weights: list[Numbers] = []
    for scale, right, down, degrees in VIEWS:
        turn = np.deg2rad(degrees)
        across = (np.cos(turn) * x - np.sin(turn) * y) * MIDDLE * scale + right
        below = (np.sin(turn) * x + np.cos(turn) * y) * MIDDLE * scale + down
        column, row = ((v + 0.5) * _SOURCE - 0.5 for v in (across, below))
        left, top = np.floor(column).astype(np.int64), np.floor(row).astype(np.int64)
        dx, dy = column - left, row - top
        places.append(np.stack([(top + j) * _SOURCE + left + i for j in (0, 1) for i in (0, 1)]))
        parts = ((1 - dy) * (1 - dx), (1 - dy) * dx, dy * (1 - dx), dy * dx)
        weights.append(np.stack([np.rint(part * _ONE) for part in parts]))
    return np.stack(places, axis=1), np.stack(weights, axis=1)


@cache
def _cosines() -> tuple[Numbers, NDArray[np.int64]]:
    """The first rows of a cosine transform, and the places of its lowest waves, the mean left out."""
    kinds = 20
    wave, place = np.arange(kinds)[:, None], np.arange(_SIDE)[None, :]
    basis = np.rint(np.cos(np.pi * wave * (2 * place + 1) / (2 * _SIDE)) * _ONE)
    i, j = np.indices((kinds, kinds))
    order = np.lexsort((i.ravel(), np.abs(i - j).ravel(), (i + j).ravel()))
    return basis, order[1 : _WAVES + 1].astype(np.int64)


def _waves(views: Numbers) -> Bytes:
    basis, lowest = _cosines()
    waves = basis @ views @ basis.T
    return np.packbits(waves.reshape(len(views), -1)[:, lowest] > 0, axis=1)


def _edges(views: Numbers) -> Bytes:
    size = _SIDE // _CELLS
    cells = views.reshape(len(views), _CELLS, size, _CELLS, size).sum(axis=(2, 4))
    right = cells[:, :-1, 1:] > cells[:, :-1, :-1]
    down = cells[:, 1:, :-1] > cells[:, :-1, :-1]
    return np.packbits(np.concatenate([right, down], axis=1).reshape(len(views), -1), axis=1)
