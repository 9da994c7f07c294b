"""What can be told of a picture at a glance, while its pixels are at hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLACK = 8
"""No channel above this: black."""
SPREAD = 2.0
"""Standard deviation of the luminance (0-127) under which a picture shows nothing."""


def unusable(pixels: npt.NDArray[np.uint8]) -> str:
    """Why a picture cannot be used at all, in a word; empty where it can. Takes (height, width, 3) RGB."""
    few = pixels[::4, ::4].astype(np.float32)
    if few.max(initial=0) <= BLACK:
        return "black"
    luminance = few @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return "blank" if luminance.std() < SPREAD else ""
