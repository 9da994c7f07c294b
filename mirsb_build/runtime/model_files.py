"""Folders of model files, known by what is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mirsb_build.records import content_hash

SMALL = 2**20
"""Files up to this many bytes are read whole; larger ones are sampled, because weights have gigabytes."""
SAMPLES = 64
SAMPLE = 4096
HASH = 16
"""Hex digits that are kept."""


def folder_hash(folder: Path) -> str:
    """Hash of the files of a model: names, sizes, small files whole, large ones by samples over their whole length."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return content_hash([[p.relative_to(folder).as_posix(), p.stat().st_size, _digest(p)] for p in files])[:HASH]


def _digest(file: Path) -> str:
    size = file.stat().st_size
    if size <= SMALL:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    with file.open("rb") as data:
        for number in range(SAMPLES):
            data.seek((size - SAMPLE) * number // (SAMPLES - 1))
            digest.update(data.read(SAMPLE))
    return digest.hexdigest()
