"""Duplicate images: what the hashes find of changed copies among distinct pictures of the same kind.

Pictures are those that packages ship: OpenMoji drawings, scenes drawn by our own backend, photographs of scikit-learn
and scikit-image and their quarters. Every changed copy is compared with every unchanged picture; precision counts all
pairs that come within the threshold, so 400 pictures stand for 2 million pairs.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont

from benchmarks.results import Row
from mirsb_build.checks.image_duplicates import BANDS, ImageDuplicates
from mirsb_build.similarity.hamming import near_pairs
from mirsb_build.similarity.image_hashes import hash_views

Pixels = Image.Image
Bits = np.ndarray[Any, Any]

SIZE = 512
DRAWINGS = 120
SCENES_A_LAYOUT = 7
PHOTOGRAPHS = (
    "astronaut brick camera cell chelsea clock_motion coffee coins color grass gravel hubble_deep_field ihc moon "
    "motorcycle_left page retina rocket text"
).split()


@dataclass(frozen=True)
class Case:
    """One picture, what kind it is of and which candidate it belongs to."""

    kind: str
    group: str
    pixels: Pixels


def measure() -> list[Row]:
    """All figures; about a minute on two cores."""
    pictures, dice = cases(), random.Random(2)
    unchanged = [_hashes(case.pixels) for case in pictures]
    changed = {name: [_hashes(change(c.pixels, dice)) for c in pictures] for name, change in CHANGES.items()}
    own = np.eye(len(pictures), dtype=bool)
    shipped = ImageDuplicates.Options().distance
    rows = [
        Row(f"pictures: {kind}", sum(c.kind == kind for c in pictures), "")
        for kind in sorted({c.kind for c in pictures})
    ]
    for family in (*FAMILIES, SHIPPED):
        apart = {
            name: _distances(np.stack([h[family] for h in changed[name]]), np.stack([h[family] for h in unchanged]))
            for name in CHANGES
        }
        same = np.concatenate([apart[name][own] for name in JUDGED])
        other = np.concatenate([apart[name][~own] for name in JUDGED])
        best = _curve(family, same, other)
        rows.append(Row(f"{family}: recall at precision 0.99", float((same <= best).mean()) if best >= 0 else 0.0, ""))
        if family != SHIPPED:
            continue
        recall, precision = at(shipped, same, other)
        rows.append(Row(f"shipped ({shipped} bits): recall", recall, "", ">= 0.97", recall >= 0.97))
        rows.append(Row(f"shipped ({shipped} bits): precision", precision, "", ">= 0.99", precision >= 0.99))
        rows += [Row(f"  recall, {name}", float((apart[name][own] <= shipped).mean()), "") for name in CHANGES]
        for kind in sorted({c.kind for c in pictures}):
            mine = np.array([c.kind == kind for c in pictures])
            found = np.mean([(apart[name][own][mine] <= shipped).mean() for name in JUDGED])
            rows.append(Row(f"  recall, {kind}s", float(found), ""))
        rows += _found_by_the_index(unchanged, changed, shipped)
    rows.append(Row("least distance within a candidate's scenes", _least_within(pictures, unchanged), "bits"))
    return rows


def cases() -> list[Case]:
    """Distinct pictures, the same in every run."""
    return [*_openmoji(random.Random(1)), *_photographs()]


def _openmoji(dice: random.Random) -> Iterator[Case]:
    from mirsb_build.images.backends.openmoji.backend import OpenMoji
    from mirsb_build.images.scenes.layouts import LAYOUTS
    from mirsb_build.records import ImageSpec

    backend = OpenMoji()
    for entry in dice.sample(backend.corpus.entries, DRAWINGS):
        drawing = backend.raster(entry.code, 400)
        light = (255, 255, 255) if dice.random() < 0.5 else tuple(dice.randint(180, 255) for _ in range(3))
        ground = Image.new("RGB", (SIZE, SIZE), light)
        ground.paste(drawing, ((SIZE - drawing.width) // 2, (SIZE - drawing.height) // 2), drawing)
        yield Case("drawing", entry.code, ground)
    words = [entry.names[0] for entry in backend.corpus.entries]
    for layout in LAYOUTS:
        for number in range(SCENES_A_LAYOUT):
            shared = dice.choice(words)
            shown = [tuple(dice.sample(words, 3)) for _ in range(3)]
            if layout in ("pieces", "sequence", "jump", "inset"):
                shown = [(shared, *keywords[:2]) for keywords in shown]
            for index, keywords in enumerate(shown, 1):
                spec = ImageSpec(
                    description="A scene.",
                    keywords=keywords,
                    layout=layout,
                    index=index,
                    count=3,
                    candidate=f"{layout} {number}",
                    group_keywords=tuple(shown),
                )
                pixels = backend.draw(spec).pixels
                assert pixels is not None
                yield Case("scene", f"{layout} {number}", pixels.convert("RGB"))


def _photographs() -> Iterator[Case]:
    found: list[Path] = []
    for package, folder in (("sklearn", "datasets/images"), ("skimage", "data")):
        spec = find_spec(package)
        for place in spec.submodule_search_locations or () if spec else ():
            files = sorted((Path(place) / folder).glob("*.*"))
            found += [f for f in files if (f.suffix == ".jpg" and package == "sklearn") or f.stem in PHOTOGRAPHS]
    for file in found:
        pixels = Image.open(file).convert("RGB")
        width, height = (side // 2 for side in pixels.size)
        for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
            quarter = pixels.crop((x * width, y * height, (x + 1) * width, (y + 1) * height))
            yield Case("photograph", f"{file.stem} {x}{y}", quarter.resize((384, 384)))
        pixels.thumbnail((640, 640))
        yield Case("photograph", file.stem, pixels)


def _saved(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=quality)
    return Image.open(buffer).convert("RGB")


def _cropped(pixels: Pixels, dice: random.Random) -> Pixels:
    """95 % of each side, anywhere."""
    width, height = (round(side * 0.95) for side in pixels.size)
    x, y = round(dice.random() * (pixels.width - width)), round(dice.random() * (pixels.height - height))
    return pixels.crop((x, y, x + width, y + height))


def _with_logo(pixels: Pixels) -> Pixels:
    pixels = pixels.copy()
    side = min(pixels.size) * 0.12
    right, low = pixels.width - side * 0.2, pixels.height - side * 0.2
    pen = ImageDraw.Draw(pixels)
    pen.rounded_rectangle((right - side, low - side, right, low), side / 5, fill=(230, 60, 50))
    pen.ellipse((right - side * 0.8, low - side * 0.8, right - side * 0.2, low - side * 0.2), fill="white")
    return pixels


def _with_caption(pixels: Pixels) -> Pixels:
    pixels = pixels.copy()
    width, height = pixels.size
    pen = ImageDraw.Draw(pixels)
    pen.rectangle((0, height * 0.92, width, height), fill="black")
    font = ImageFont.load_default(height * 0.05)
    pen.text((width * 0.05, height * 0.93), "A picture from the collection", fill="white", font=font)
    return pixels


CHANGES: dict[str, Callable[[Pixels, random.Random], Pixels]] = {
    "resize to 50 %": lambda p, _: p.resize((p.width // 2, p.height // 2)),
    "resize to 25 %": lambda p, _: p.resize((p.width // 4, p.height // 4), Image.Resampling.BILINEAR),
    "JPEG 95": lambda p, _: _saved(p, 95),
    "JPEG 75": lambda p, _: _saved(p, 75),
    "JPEG 50": lambda p, _: _saved(p, 50),
    "crop 5 %": _cropped,
    "brightness -20 %": lambda p, _: ImageEnhance.Brightness(p).enhance(0.8),
    "brightness +20 %": lambda p, _: ImageEnhance.Brightness(p).enhance(1.2),
    "blur": lambda p, _: p.filter(ImageFilter.GaussianBlur(p.width / 256)),
    "logo": lambda p, _: _with_logo(p),
    "caption": lambda p, _: _with_caption(p),
    "turn +3 degrees, black": lambda p, _: p.rotate(3, Image.Resampling.BICUBIC),
    "turn -3 degrees, white": lambda p, _: p.rotate(-3, Image.Resampling.BICUBIC, fillcolor=(255, 255, 255)),
    "turn 2 degrees": lambda p, _: p.rotate(2, Image.Resampling.BICUBIC),
}
JUDGED = tuple(CHANGES)[:-1]
"""What the bar is about; a turn that no view was made for is shown beside it."""

FAMILIES = ("pHash, 64 bits, whole", "dHash, 256 bits, whole", "waves, 128 bits, 12 views", "edges, 128 bits, 12 views")
SHIPPED = "waves and edges, 256 bits, 12 views"


def _hashes(pixels: Pixels) -> dict[str, Bits]:
    views = hash_views(pixels)
    whole = [np.packbits(imagehash.phash(pixels).hash), np.packbits(imagehash.dhash(pixels, 16).hash)]
    return dict(
        zip((*FAMILIES, SHIPPED), (*(w[None] for w in whole), views[:, :16], views[:, 16:], views), strict=True)
    )


def _distances(changed: Bits, unchanged: Bits) -> Bits:
    """Bits between every changed copy and every unchanged picture; both are (pictures, views, bytes)."""
    one, other = (np.ascontiguousarray(codes).view(np.uint64) for codes in (changed, unchanged))
    found = np.full((len(one), len(other)), 8 * changed.shape[2], dtype=np.uint16)
    for view in range(changed.shape[1]):
        for a, b in ((one[:, 0], other[:, view]), (one[:, view], other[:, 0])):
            apart = sum(np.bitwise_count(a[:, None, word] ^ b[None, :, word]) for word in range(a.shape[1]))
            np.minimum(found, apart, out=found)
    return found


def at(threshold: float, same: Bits, other: Bits) -> tuple[float, float]:
    """Recall and precision of a threshold."""
    right, wrong = int((same <= threshold).sum()), int((other <= threshold).sum())
    return right / same.size, right / max(1, right + wrong)


def _curve(family: str, same: Bits, other: Bits) -> int:
    """Print recall and precision by threshold; the largest threshold with precision 0.99, -1 if there is none."""
    points = {t: at(t, same, other) for t in range(0, 65)}
    print(f"\n{family}\n  bits  recall  precision")
    for threshold in range(0, 65, 4):
        print(f"  {threshold:>4}  {points[threshold][0]:.4f}  {points[threshold][1]:.4f}")
    return max((t for t, (recall, precision) in points.items() if precision >= 0.99 and recall), default=-1)


def _found_by_the_index(unchanged: Sequence[Any], changed: dict[str, list[Any]], distance: int) -> list[Row]:
    """Of the copies within the distance those that the index finds, all pictures and copies being in it at once."""
    codes = np.stack([h[SHIPPED] for h in (*unchanged, *(h for name in JUDGED for h in changed[name]))])
    count = len(unchanged)
    found = {(a, b) for a, b, _ in near_pairs(codes, distance, *BANDS) if a < count and a == b % count}
    wanted = 0
    for block in range(1, len(JUDGED) + 1):
        apart = _distances(codes[block * count : (block + 1) * count], codes[:count])
        wanted += int((np.diagonal(apart) <= distance).sum())
    recall = len(found) / (count * len(JUDGED))
    return [
        Row("  copies within the distance that the index finds", len(found) / wanted, "share"),
        Row("shipped, looked up by the index: recall", recall, "", ">= 0.97", recall >= 0.97),
    ]


def _least_within(pictures: Sequence[Case], unchanged: Sequence[Any]) -> int:
    groups: dict[str, list[Bits]] = {}
    for case, hashes in zip(pictures, unchanged, strict=True):
        if case.kind == "scene":
            groups.setdefault(case.group, []).append(hashes[SHIPPED])
    pairs = (pair for group in groups.values() for pair in combinations(group, 2))
    return min(int(_distances(a[None], b[None])[0, 0]) for a, b in pairs)
