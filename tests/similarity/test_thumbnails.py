"""Thumbnails: small copies that look like their picture, read from the store or made from the image."""

from __future__ import annotations

import io

import imagehash
import numpy as np
import pytest
from PIL import Image as PillowImage

from mirsb_build.errors import Damaged
from mirsb_build.similarity.thumbnails import MOST, encode_thumbnail, read_thumbnail
from mirsb_build.store import Store
from tests.factories import noise, stored_image


def opened(data: bytes) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(data))


SIZES = [((512, 512), (256, 256)), ((640, 320), (264, 132)), ((1024, 768), (256, 192)), ((99, 60), (99, 60))]


@pytest.mark.parametrize(("size", "small"), SIZES)
def test_a_thumbnail_keeps_the_shape_and_the_look(size: tuple[int, int], small: tuple[int, int]) -> None:
    pixels = noise(1).resize(size)
    shown = opened(encode_thumbnail(pixels))
    assert (shown.format, shown.mode, shown.size) == ("JPEG", "RGB", small)
    assert max(shown.size) <= MOST
    assert imagehash.phash(shown) - imagehash.phash(pixels) <= 4
    assert pixels.size == size, "the picture itself is left alone"


def test_what_is_transparent_and_what_has_16_bits_is_shown_as_it_looks() -> None:
    clear = noise(2).convert("RGBA")
    clear.putalpha(0)
    assert opened(encode_thumbnail(clear)).getextrema() == ((255, 255),) * 3
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    tones = np.asarray(opened(encode_thumbnail(PillowImage.fromarray(ramp))).convert("L"))
    assert tones[0].max() < 30 and 110 < tones[32].mean() < 146 and tones[-1].min() > 225


def test_a_thumbnail_that_is_lost_or_was_never_made_is_made_from_the_image(memory_store: Store) -> None:
    image = stored_image(memory_store, 3)
    whole = encode_thumbnail(noise(3))
    assert read_thumbnail(memory_store, image) == whole
    lost = image.model_copy(update={"thumbnail": "0" * 64})
    assert read_thumbnail(memory_store, lost) == whole
    memory_store.forget_blob(image.id, "png")
    with pytest.raises(Damaged):
        read_thumbnail(memory_store, lost)
