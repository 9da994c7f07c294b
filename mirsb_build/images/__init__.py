"""Image backends: the table of them, and the engine that renders through a cache.

A new backend is a module with a class that implements `ports.ImageBackend`, and a row here.
"""

from __future__ import annotations

from mirsb_build.config import ImageChoice
from mirsb_build.errors import UnknownName
from mirsb_build.images.engine import Images
from mirsb_build.plugins import load_class
from mirsb_build.ports import ImageBackend

IMAGE_BACKENDS = {
    "openmoji": "mirsb_build.images.openmoji:OpenMoji",
}


def open_backend(choice: ImageChoice) -> ImageBackend:
    """The image backend of a profile; raises UnknownName for one that is not in the table."""
    if choice.backend not in IMAGE_BACKENDS:
        raise UnknownName("image backend", choice.backend, IMAGE_BACKENDS)
    return load_class(IMAGE_BACKENDS[choice.backend])()


__all__ = ["IMAGE_BACKENDS", "Images", "open_backend"]
