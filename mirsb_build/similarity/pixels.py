"""Pixels of any mode as a viewer shows them: 8 bits a channel, RGB, on white."""

from __future__ import annotations

import numpy as np
from PIL import Image as PillowImage
from PIL.Image import Image as Pixels


def to_rgb(pixels: Pixels) -> Pixels:
    """Convert a picture of any mode to RGB, on white where it is transparent; return one in opaque RGB as it is."""
    pixels = to_eight_bits(pixels)
    if not pixels.has_transparency_data:
        return pixels if pixels.mode == "RGB" else pixels.convert("RGB")
    rgba = pixels.convert("RGBA")
    return PillowImage.alpha_composite(PillowImage.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def to_eight_bits(pixels: Pixels) -> Pixels:
    """Reduce a channel of 16 or 32 bits to 8, where Pillow would cut it off at 255; return any other mode as it is.

    16 bits have a fixed range, of which the upper 8 bits are kept. Integers of 32 bits and floats have none, so the
    lowest tone becomes 0 and the highest 255.
    """
    if pixels.mode.startswith("I;16"):
        return PillowImage.fromarray((np.asarray(pixels) >> 8).astype(np.uint8))
    if pixels.mode not in ("I", "F"):
        return pixels
    tones = np.nan_to_num(np.asarray(pixels, dtype=np.float64))
    spread = float(np.ptp(tones)) or 1.0
    return PillowImage.fromarray(((tones - tones.min()) / spread * 255).astype(np.uint8))
