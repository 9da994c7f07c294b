"""What the checks of duplicates cost with the number of images: random hashes with planted copies, and a plot."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from typing import Any

import numpy as np

from benchmarks.plots import Line, log_log
from benchmarks.results import FOLDER, Row
from mirsb_build.checks.image_duplicates import BANDS, ImageDuplicates
from mirsb_build.checks.lexical_duplicates import LexicalDuplicates
from mirsb_build.similarity.hamming import near_pairs

Bits = np.ndarray[Any, Any]

SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
PLOT = FOLDER / "duplicates-cost.svg"


def measure() -> list[Row]:
    """Seconds by number of images, the powers with which they grow, and a plot of both."""
    rows: list[Row] = []
    pairs: dict[int, float] = {}
    checks: dict[int, float] = {}
    for size in SIZES:
        found = _run("pairs", size)
        pairs[size] = found["seconds"]
        rows.append(Row(f"all pairs of {size:,} images", found["seconds"], "s"))
        if size == SIZES[-1]:
            rows[-1] = Row(rows[-1].name, found["seconds"], "s", "< 10", found["seconds"] < 10)
            rows.append(Row("  memory of the process", found["memory"], "MB", "< 500", found["memory"] < 500))
            rows.append(Row("  processor time", found["processor"], "s"))
            rows.append(Row("  planted copies found", found["found"], "share"))
        found = _run("check", size)
        checks[size] = found["seconds"]
        rows.append(Row(f"both checks over {size:,} images", found["seconds"], "s"))
    lines: list[Line] = []
    for name, points in (("all pairs", pairs), ("both checks", checks)):
        lines.append(Line(name, points))
        slope = lines[-1].power
        rows.append(Row(f"{name}: time grows with images to the power", slope, "", "< 1.3", slope < 1.3))
    PLOT.write_text(log_log(lines, "images", "seconds"), encoding="utf-8")
    return rows


def _run(kind: str, size: int) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.checks_costs", kind, str(size)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def _random_views(size: int) -> Bits:
    """Random hashes, with views that differ as those of pictures do, and copies of every hundredth, 20 bits off."""
    chance = np.random.default_rng(size)
    codes = np.repeat(chance.integers(0, 256, (size, 1, 32), dtype=np.uint8), 12, axis=1)
    for view in range(1, 12):
        codes[:, view] ^= _flips(chance, size, 30)
    planted = size // 100
    codes[-planted:] = codes[:planted] ^ _flips(chance, planted, 20)[:, None]
    return codes


def _flips(chance: np.random.Generator, size: int, bits: int) -> Bits:
    found = np.zeros((size, 256), dtype=bool)
    np.put_along_axis(found, chance.integers(0, 256, (size, bits)), values=True, axis=1)
    return np.packbits(found, axis=1)


def _all_pairs(size: int) -> dict[str, float]:
    codes = _random_views(size)
    near_pairs(codes[:100], 40, *BANDS)  # faiss is loaded
    began, busy = time.perf_counter(), time.process_time()
    pairs = near_pairs(codes, ImageDuplicates.Options().distance, *BANDS)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    planted = size // 100
    found = sum(b - a == size - planted for a, b, _ in pairs) / planted
    return {"seconds": seconds, "found": found, "processor": busy, "memory": _peak()}


def _both_checks(size: int) -> dict[str, float]:
    from emoji import EMOJI_DATA

    from mirsb_build.config.taxonomy import load_taxonomy
    from tests.factories import candidate, image, picture, seed_query

    taxonomy = load_taxonomy()
    words = sorted({word for data in EMOJI_DATA.values() for word in re.findall("[a-z]{4,}", data["en"].lower())})
    dice = random.Random(size)
    hashes = [views.tobytes().hex() for views in _random_views(size)]
    candidates = []
    for number in range(size // 3):
        shown = range(3 * number, 3 * number + 3)
        told = [" ".join(dice.choices(words, k=10)) + "." for _ in shown]
        images = [image(n, id=f"{n:064x}", view_hashes=hashes[n]) for n in shown]
        pictures = tuple(picture(text, image=one) for text, one in zip(told, images, strict=True))
        seed = seed_query(f"How can I {' '.join(dice.choices(words, k=7))} {number}?")
        candidates.append(candidate(seed_query=seed, pictures=pictures))
    checks = (
        ImageDuplicates(ImageDuplicates.Options(), taxonomy),
        LexicalDuplicates(LexicalDuplicates.Options(), taxonomy),
    )
    began = time.perf_counter()
    for check in checks:
        check.compare(candidates, ())
    return {"seconds": time.perf_counter() - began, "memory": _peak()}


def _peak() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    print(json.dumps((_all_pairs if sys.argv[1] == "pairs" else _both_checks)(int(sys.argv[2]))))
