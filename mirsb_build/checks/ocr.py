"""Reads the lettering in pictures: RapidOCR's models, put together so that pictures without any cost little.

RapidOCR itself enlarges a picture before it looks for lettering, fills up every line to 320 pixels before it is read,
and lets each of its models take all cores. Drawn scenes of 512 pixels without lettering take 274 core-milliseconds so,
here about 42 (2026-11-21).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

GLANCE = 384
"""Longer side in which lettering is looked for; it is read in full size. Of 140 words in letters from 14 px, tilted by
at most 30 degrees, in pictures of 512, as many are read as when the whole 512 are looked over (0.986; at 352 0.943, at
320 0.929), for 29 core-milliseconds instead of 54. What it costs are letters of 10 px and steep ones: docs/checks.md.
Looking again at full size where the glance found something took 10 ms a picture more and found hardly any of them."""
NARROWEST = 96
"""Pixels that a short line is filled up to; the recogniser reads any width, and its time goes with the width."""


class TextReader:
    """Finds and reads lines; may be used from several threads at once, each of them on one core.

    Raises ImportError where the package or one of the system's libraries is missing.
    """

    def __init__(self) -> None:
        from rapidocr_onnxruntime import RapidOCR

        # One thread a model: two shards at work keep two cores busy, and more threads would wait for one another.
        self._parts: Any = RapidOCR(intra_op_num_threads=1)
        self._parts.text_rec.rec_image_shape = [3, 48, NARROWEST]

    def lines(self, picture: Array) -> list[tuple[str, float]]:
        """Lines of a picture (height, width, RGB in 8 bits) and how sure the reader is of each, 0 to 1."""
        picture = np.ascontiguousarray(picture[:, :, ::-1])  # the models want blue, green, red
        boxes = self._boxes(picture)
        if not len(boxes):
            return []
        crops: Any = self._parts.get_crop_img_list(picture, self._parts.sorted_boxes(boxes))
        upright, _, _ = self._parts.text_cls(crops)
        read: Any = self._parts.text_rec(upright)[0]
        return [(str(line[0]), float(line[1])) for line in read]

    def _boxes(self, picture: Array) -> Array:
        """Corners of the lines, (lines, 4, 2)."""
        import cv2

        height, width = picture.shape[:2]
        scale = min(1.0, GLANCE / max(height, width))
        size = [
            max(32, round(length * scale / 32) * 32) for length in (width, height)
        ]  # the model halves it five times
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        tones = cv2.dnn.blobFromImage(small, 2 / 255, mean=(127.5, 127.5, 127.5))  # -1 to 1, (1, 3, height, width)
        likely: Any = self._parts.text_det.infer(tones)[0]
        found, _ = self._parts.text_det.postprocess_op(likely, (height, width))
        return np.asarray(self._parts.text_det.filter_tag_det_res(found, (height, width)))
