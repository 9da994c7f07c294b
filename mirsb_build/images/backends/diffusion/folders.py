"""Models that lie in a folder: how they differ from names on a Hub, and what identifies them."""

from __future__ import annotations

from pathlib import Path

from mirsb_build.errors import ModelError
from mirsb_build.runtime.model_files import folder_hash


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


def model_identity(model: str, revision: str | None = None) -> str:
    """Name a model as records and cache keys do: a Hub's name at its revision, or a folder's at its contents' hash."""
    if is_folder(model):
        return f"{Path(model).name}@{folder_hash(Path(model)) if Path(model).is_dir() else 'missing'}"
    return f"{model}@{revision}" if revision else model
