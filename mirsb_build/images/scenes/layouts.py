"""Scenes: how the pictures of each relation type are composed, one small function a layout.

A layout takes a `Scene` and returns the picture. It marks the picture's part in the relation (first of three, before
and after, left and right, ...) with shapes, never with letters: what a picture says must not depend on fonts.
A new layout is a new function and a new row in `LAYOUTS`.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from mirsb_build.errors import UnknownName
from mirsb_build.images.scenes.logical import bridge, cause, part
from mirsb_build.images.scenes.scene import Cast, Scene, plain
from mirsb_build.images.scenes.semantic import card, pieces
from mirsb_build.images.scenes.spatial import apart, inset
from mirsb_build.images.scenes.temporal import jump, sequence
from mirsb_build.records import ImageSpec

COMPOSITION = "scene-1"
"""Version of everything that turns props into pixels; images are cached under it, so change it with any pixel."""

LAYOUTS: dict[str, Callable[[Scene], Image.Image]] = {
    "apart": apart,
    "bridge": bridge,
    "card": card,
    "cause": cause,
    "inset": inset,
    "jump": jump,
    "part": part,
    "pieces": pieces,
    "plain": plain,
    "sequence": sequence,
}
"""How a relation type may want its pictures composed (its `layout`)."""

_SMALLEST = 96
"""Scenes are composed with sides of at least this many pixels; smaller pictures are reduced from that."""


def compose(spec: ImageSpec, cast: Cast) -> Image.Image:
    """Draw a spec with its props: RGB pixels of the size asked for; raises UnknownName for an unknown layout."""
    layout = LAYOUTS.get(spec.layout)
    if layout is None:
        raise UnknownName("layout", spec.layout, LAYOUTS)
    scene = Scene(spec, cast, max(spec.width, _SMALLEST), max(spec.height, _SMALLEST))
    picture = layout(scene)
    size = (spec.width, spec.height)
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BOX)
