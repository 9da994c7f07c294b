"""Measures of a picture's pixels that tell it from no picture: from a blank, a speck, noise, tiles, a lost part.

Each takes a picture in RGB. They look at a reduced picture, so they take some milliseconds whatever its size, and are
calibrated in docs/checks.md by benchmarks/checks_integrity.py.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from mirsb_build.ports import Pixels

Tones = NDArray[np.float32]

CELLS = 32
"""Cells a side that are looked at for anything drawn."""
FAINT = 8
"""Levels of luminance that an eye may pass over, and JPEG adds."""
GRAIN = 8
"""Pixels to a value in the latent space of common diffusion models: decoded without having been denoised, its noise is
smooth from pixel to pixel and random from one such block to the next."""
REPEATS = (2, 3, 4, 5, 6)
"""How often a tile may stand side by side."""
TILED = 120
"""Pixels a side at which tiles are looked for: whole tiles for all of `REPEATS`."""
BAND = 256
"""Pixels of the shorter side, at least, at which a flat band is looked for."""
FLAT = 6
"""Levels of each colour within which a band is of one tone."""
CUT = 0.8
"""Share of the line before a flat band that is of another tone where the picture ends there. Things that stand on plain
ground leave a band too, but most of the line before it is ground (at 0.5 one drawing in 20 would fail, at 0.8 none)."""


def spread(pixels: Pixels) -> float:
    """Standard deviation of the luminance, 0 (one tone) to 127.5 (half black, half white)."""
    return float(_tones(pixels.reduce(4)).std())


def drawn_share(pixels: Pixels) -> float:
    """Share of the picture's cells that show anything but its commonest tone, 0 to 1.

    Cells and not pixels, because a line drawing covers few pixels of many cells, and a speck is all in a few.
    """
    side = CELLS * 8
    small = np.asarray(pixels.convert("L").resize((side, side), PillowImage.Resampling.BOX), dtype=np.int16)
    ground = np.bincount(small.ravel()).argmax()
    return float((np.abs(small - ground).reshape(CELLS, 8, CELLS, 8).max(axis=(1, 3)) > FAINT).mean())


def coherence(pixels: Pixels) -> float:
    """Correlation (-1 to 1) of neighbours in the picture made small: about 0 for noise of any grain up to `GRAIN`.

    The highest of luminance and colours; of a grey picture also that of its pixels as they are, because fine textures
    (a brick wall, grass) are as random as noise when they are made small.
    """
    shorter = min(pixels.size)
    coarse = pixels.convert("YCbCr").reduce(max(1, min(max(GRAIN, shorter // 64), shorter // CELLS)))
    found = [_along(np.asarray(band, dtype=np.float32)) for band in coarse.split() if np.asarray(band).std() > 1]
    if len(found) < 2:
        found.append(_along(_tones(pixels)))
    return max(found)


def repetition(pixels: Pixels) -> float:
    """How far the picture repeats itself side by side or one below the other, 0 (nowhere) to 1 (tiles of one picture).

    Correlation of its edges with those a tile further on; edges that run the whole way, as a horizon, do not count.
    """
    small = _tones(pixels.resize((TILED, TILED), PillowImage.Resampling.BOX))
    found = 0.0
    for tones in (small, small.T):
        down = np.diff(tones, axis=0)
        edges = np.concatenate([np.diff(tones, axis=1, append=tones[:, -1:]), down - down.mean(axis=1, keepdims=True)])
        for times in REPEATS:
            ahead, behind = edges[:, TILED // times :], edges[:, : -(TILED // times)]
            size = float(np.sqrt((ahead**2).sum() * (behind**2).sum()))
            found = max(found, float((ahead * behind).sum()) / size if size > 1 else 0.0)
    return min(found, 1.0)


def lost_share(pixels: Pixels) -> float:
    """Share of the picture that is one flat tone from a busy line on to the rim, as a file that was cut off leaves it.

    Bars on both sides are a frame and do not count; the worst of the four sides.
    """
    reduced = pixels.reduce(max(1, min(pixels.size) // BAND))
    colours = np.stack([np.asarray(band, dtype=np.int16) for band in reduced.split()])
    found = 0.0
    for lines in (colours, colours.swapaxes(1, 2)):
        (last, last_cuts), (first, first_cuts) = _band(lines), _band(lines[:, ::-1])
        found = max(found, last if last_cuts and first < last / 2 else 0)
        found = max(found, first if first_cuts and last < first / 2 else 0)
    return found


def _band(lines: NDArray[np.int16]) -> tuple[float, bool]:
    """Share of the last lines that are flat, and whether they cut off what stands before them.

    `lines` has three colours of so many lines of so many pixels.
    """
    tone = np.median(lines[:, -1], axis=1).astype(np.int16)
    flat = 0
    while flat < lines.shape[1] and _apart(lines[:, -flat - 1], tone).max() <= FLAT:
        flat += 1
    share = flat / lines.shape[1]
    if not 0 < flat < lines.shape[1] - 2:
        return share, False
    before = lines[:, -flat - 2]  # the line between may be part band, part picture
    return share, bool(before.std(axis=1).max() > FLAT / 2 and (_apart(before, tone) > FLAT).mean() >= CUT)


def _apart(line: NDArray[np.int16], tone: NDArray[np.int16]) -> NDArray[np.int16]:
    """How far each pixel of a line is from a tone, in the colour in which it is furthest."""
    return np.abs(line - tone[:, None]).max(axis=0)


def _tones(pixels: Pixels) -> Tones:
    return np.asarray(pixels.convert("L"), dtype=np.float32)


def _along(tones: Tones) -> float:
    """The lower of the correlations of neighbours side by side and one below the other; 1 where there are none."""
    return min(_correlation(tones[:, 1:], tones[:, :-1]), _correlation(tones[1:], tones[:-1]))


def _correlation(one: Tones, other: Tones) -> float:
    if not one.size:
        return 1.0
    one, other = one - one.mean(), other - other.mean()
    size = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / size if size > 1e-3 else 1.0
