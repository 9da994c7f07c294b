"""Pixels: a picture of any mode becomes the RGB that a viewer shows."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from mirsb_build.similarity.pixels import to_rgb

TONES = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


def grey(tones: object) -> np.ndarray:
    return np.repeat(np.asarray(tones, dtype=np.uint8)[:, :, None], 3, axis=2)


def test_a_picture_in_rgb_is_returned_as_it_is() -> None:
    picture = PillowImage.new("RGB", (8, 8), "teal")
    assert to_rgb(picture) is picture


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_keep_their_range_in_either_byte_order(order: str) -> None:
    half = TONES.astype(np.uint16) * 257 // 2
    picture = PillowImage.frombytes("I;16" if order == "<" else "I;16B", (8, 8), half.astype(f"{order}u2").tobytes())
    assert np.array_equal(np.asarray(to_rgb(picture)), grey(half >> 8)), "a dark picture stays dark"


def test_a_png_of_sixteen_bits_looks_like_the_same_picture_in_eight() -> None:
    file = io.BytesIO()
    PillowImage.fromarray(TONES.astype(np.uint16) * 257).save(file, format="PNG")
    assert np.array_equal(np.asarray(to_rgb(PillowImage.open(file))), grey(TONES))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_channels_without_a_range_of_their_own_are_spread_over_all_tones(mode: str) -> None:
    tones = (TONES.astype(np.int64) * 1000 - 7).astype(np.int32 if mode == "I" else np.float32)
    assert np.abs(np.asarray(to_rgb(PillowImage.fromarray(tones))).astype(int) - grey(TONES)).max() <= 1
    assert np.asarray(to_rgb(PillowImage.new(mode, (8, 8), 9))).max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode: str) -> None:
    if mode == "P":
        clear = PillowImage.new("P", (8, 8), 0)
        clear.info["transparency"] = 0
    else:
        clear = PillowImage.new(mode, (8, 8), 0)
    assert np.asarray(to_rgb(clear)).min() == 255
