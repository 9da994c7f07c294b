"""Reads the lettering in pictures with RapidOCR, set so that pictures without any cost little.

As it comes, RapidOCR enlarges a picture before it looks for lettering, fills up every line to 320 pixels before it is
read, and lets each of its models take all cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GLANCE = 320
"""Longer side in which lettering is looked for; it is read in full size. Of 140 words in letters from 14 px, tilted by
at most 30 degrees, in pictures of 512, it reads 0.986, for 46 core-milliseconds; 384 reads all of them, for 53."""
NARROWEST = 96
"""Pixels that a short line is filled up to; the recogniser reads any width, and its time goes with the width."""
SETTINGS = {
    "Det.limit_type": "max",
    "Det.limit_side_len": GLANCE,
    "Rec.rec_img_shape": [3, 48, NARROWEST],
    "Global.text_score": 0.0,  # every line is given with how sure the reader is of it
    "Global.log_level": "critical",
    # One thread a model: two shards at work keep two cores busy, and more threads would wait for one another.
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


class TextReader:
    """Finds and reads lines; may be used from several threads at once, each of them on one core.

    Its models lie in the package's wheel. Raises ImportError where the package is missing.
    """

    def __init__(self) -> None:
        from rapidocr import RapidOCR

        self._ocr: Any = RapidOCR(params=SETTINGS)
        self.lines(np.zeros((64, 64, 3), np.uint8))  # so that a model that does not load shows here

    def lines(self, picture: Array) -> list[tuple[str, float]]:
        """Lines of a picture (height, width, RGB in 8 bits) and how sure the reader is of each, 0 to 1."""
        found: Any = self._ocr(np.ascontiguousarray(picture[:, :, ::-1]))  # the models want blue, green, red
        return [(str(text), float(score)) for text, score in zip(found.txts or (), found.scores or (), strict=True)]
