"""Image backends: the table of them, and the engine that renders through a cache.

A new backend is a module with a class that derives from `ports.ImageBackend`, takes its own `Options` and a
`BackendContext`, and a row here; a package of others adds its own by the entry point `mirsb.image_backends`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from mirsb_build.config.profiles import ImageChoice
from mirsb_build.config.yaml_files import explain
from mirsb_build.errors import UnknownName, UsageError
from mirsb_build.images.context import BackendContext
from mirsb_build.images.engine import Images, RenderResult
from mirsb_build.ports import ImageBackend
from mirsb_build.runtime.registry import load_class, with_installed

IMAGE_BACKENDS = {
    "api": "mirsb_build.images.backends.api:Api",
    "diffusion": "mirsb_build.images.backends.diffusion.backend:Diffusion",
    "openmoji": "mirsb_build.images.backends.openmoji.backend:OpenMoji",
    "retrieval": "mirsb_build.images.backends.retrieval.backend:Retrieval",
}


def open_backend(choice: ImageChoice, context: BackendContext) -> ImageBackend:
    """Open the image backend of a profile; raises UnknownName for one that there is not, UsageError for options."""
    kind, options = find_backend(choice)
    return kind(options, context)


def find_backend(choice: ImageChoice) -> tuple[Any, Any]:
    """The class of a profile's image backend and its options, not opened; raises as `open_backend` does."""
    table = with_installed(IMAGE_BACKENDS, "mirsb.image_backends")
    if choice.backend not in table:
        raise UnknownName("image backend", choice.backend, table)
    kind = load_class(table[choice.backend])
    try:
        return kind, kind.Options.model_validate(choice.options)
    except ValidationError as error:
        raise UsageError(f"image backend {choice.backend!r}: {explain(kind.Options, error)}") from error


__all__ = ["IMAGE_BACKENDS", "BackendContext", "Images", "RenderResult", "find_backend", "open_backend"]
