"""Models that lie in a folder: told from names on a Hub, and known by what is in them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mirsb_build.errors import ModelError
from mirsb_build.records import content_hash

SMALL = 2**20
"""Files up to this many bytes are read whole; larger ones are sampled, because weights have gigabytes."""
SAMPLES = 64
SAMPLE = 4096
HASH = 16
"""Hex digits that are kept."""


def is_folder(model: str) -> bool:
    """Whether a model is meant as a folder: it is one, or it is written as a path and not as ORG/NAME."""
    return Path(model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") != 1


def check_model(model: str, revision: str | None) -> None:
    """Raise ModelError for a folder that is no model, or one of which a revision is wanted."""
    if not is_folder(model):
        return
    if not (Path(model) / "model_index.json").is_file():
        raise ModelError(
            f"images.options.model: {model} is no folder of a diffusers pipeline (it has no model_index.json); "
            "give a folder that `save_pretrained` wrote, or a name on a Hub"
        )
    if revision:
        raise ModelError(f"images.options.revision: {model} is a folder, and only names on a Hub have revisions")


def known_as(model: str, revision: str | None = None) -> str:
    """A model as records and cache keys call it: a Hub's name at its revision, or a folder's at its contents' hash."""
    if is_folder(model):
        return f"{Path(model).name}@{folder_hash(Path(model)) if Path(model).is_dir() else 'missing'}"
    return f"{model}@{revision}" if revision else model


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
