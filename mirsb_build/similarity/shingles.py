"""How alike two texts are by their words: shingles, their overlap, and a binary code that finds what overlaps."""

from __future__ import annotations

import re
from collections.abc import Collection
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

SHINGLE = 4
"""Letters of a shingle; so many that a changed ending or a slip of the pen leaves most of them as they are."""
CODE_BITS = 256

_WORD = re.compile(r"\w+(?:'\w+)?")
_ORDERS = np.random.default_rng(4).integers(0, 2**63, CODE_BITS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
"""Odd factors: multiplied with one, the shingles of a text stand in an order of its own."""


def shingles(text: str) -> frozenset[int]:
    """Checksums of all runs of four letters, without regard to case, punctuation and spacing."""
    plain = " ".join(_WORD.findall(text.lower().replace("\u2019", "'")))
    return frozenset(crc32(plain[at : at + SHINGLE].encode()) for at in range(max(1, len(plain) - SHINGLE + 1)))


def overlap(one: Collection[int], other: Collection[int]) -> float:
    """Shared shingles as a share of all (Jaccard index), 0 to 1."""
    both = len(frozenset(one) & frozenset(other))
    return both / (len(one) + len(other) - both)


def code(text: frozenset[int]) -> NDArray[np.uint8]:
    """256 bits, of which texts that overlap by a share J differ in about (1 - J) / 2: one-bit MinHash.

    P. Li, C. König: b-Bit Minwise Hashing, 2010.
    """
    least = (np.fromiter(text, dtype=np.uint64)[:, None] * _ORDERS).min(axis=0)
    return np.packbits((least >> np.uint64(20)) & np.uint64(1))
