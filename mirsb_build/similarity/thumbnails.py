"""The small copy of a picture that pages show: made once, while the picture's pixels are in memory."""

from __future__ import annotations

import io

from PIL import Image as PillowImage
from PIL.Image import Image as Pixels
from PIL.Image import Resampling

from mirsb_build.errors import Damaged
from mirsb_build.records import Image
from mirsb_build.similarity.pixels import to_eight_bits
from mirsb_build.store import Store

SIDE = 240
"""Longest side in pixels: twice what a card of the report gives a picture, for dense screens and the enlarged view."""
QUALITY = 70
EXTENSION = "webp"


def encode_thumbnail(pixels: Pixels) -> bytes:
    """A WebP of at most 240 pixels a side, 3 to 5 KB; the same pixels give the same bytes."""
    copy = to_eight_bits(pixels).convert("RGBA" if pixels.has_transparency_data else "RGB")
    copy.thumbnail((SIDE, SIDE), Resampling.BICUBIC, reducing_gap=1.0)  # a fast reduction first: half the time
    buffer = io.BytesIO()
    copy.save(buffer, "WEBP", quality=QUALITY, method=2)  # half the time of the default, files 4% larger
    return buffer.getvalue()


def read_thumbnail(store: Store, image: Image) -> bytes:
    """The thumbnail of an image; made from the image where an old record names none, or where it is lost.

    Raises Damaged for an image that is lost too, OSError or ValueError for one that does not decode.
    """
    if image.thumbnail:
        try:
            return store.get_blob(image.thumbnail, EXTENSION)
        except Damaged:  # it follows from the image
            pass
    with PillowImage.open(io.BytesIO(store.get_blob(image.id, image.extension))) as pixels:
        return encode_thumbnail(pixels)
