"""Image backends: the table of them, and the engine that renders through a cache.

A new backend is a module with a class that implements `ports.ImageBackend`, takes its own `Options` and `Tools`, and a
row here. One with a stock of pictures implements `ports.Allots` too; one that tries a
picture several times says how often in `tries`, one whose pictures are calls of a model names its `role`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mirsb_build.config.profiles import ImageChoice
from mirsb_build.config.yaml_files import explain
from mirsb_build.errors import UnknownName, UsageError
from mirsb_build.images.context import Tools
from mirsb_build.images.engine import Images, Made
from mirsb_build.ports import ImageBackend
from mirsb_build.runtime.registry import load_class

IMAGE_BACKENDS = {
    "api": "mirsb_build.images.backends.api:Api",
    "diffusion": "mirsb_build.images.backends.diffusion.backend:Diffusion",
    "openmoji": "mirsb_build.images.backends.openmoji.backend:OpenMoji",
    "retrieval": "mirsb_build.images.backends.retrieval.backend:Retrieval",
}


def open_backend(choice: ImageChoice, tools: Tools) -> ImageBackend:
    """The image backend of a profile; raises UnknownName for one that is not in the table, UsageError for options."""
    kind, options = chosen(choice)
    return kind(options, tools)


def chosen(choice: ImageChoice) -> tuple[Any, Any]:
    """The class of a profile's image backend and its options, not opened; raises as `open_backend` does."""
    if choice.backend not in IMAGE_BACKENDS:
        raise UnknownName("image backend", choice.backend, IMAGE_BACKENDS)
    kind = load_class(IMAGE_BACKENDS[choice.backend])
    try:
        return kind, kind.Options.model_validate(choice.options)
    except ValidationError as error:
        raise UsageError(f"image backend {choice.backend!r}: {explain(kind.Options, error)}") from error


__all__ = ["IMAGE_BACKENDS", "Images", "Made", "Tools", "chosen", "open_backend"]
