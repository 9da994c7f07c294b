"""Whether a picture shows anything, judged while its pixels are in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLACK = 8
"""No channel above this: black."""
SPREAD = 2.0
"""Standard deviation of the luminance (0-127) under which a picture shows nothing."""


def why_blank(pixels: npt.NDArray[np.uint8]) -> str:
    """Say in a word why a picture shows nothing (`black`, `blank`); empty where it shows something.

    Takes (height, width, 3) RGB.
    """
    sample = pixels[::4, ::4].astype(np.float32)
    if sample.max(initial=0) <= BLACK:
        return "black"
    luminance = sample @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return "blank" if luminance.std() < SPREAD else ""
