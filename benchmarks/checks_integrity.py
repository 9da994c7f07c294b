"""Integrity and harmless: what the limits tell apart, on pictures that packages ship and flaws that are made in code.

Good pictures are those of the benchmark of duplicates: OpenMoji drawings, scenes of our own backend, photographs of
scikit-learn and scikit-image; and line drawings. Flawed ones are made in code, most of them from the good ones. Of
nudity there are no positives here and there will be none: only how often mild pictures are failed can be measured.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from benchmarks.checks_image_duplicates import cases
from benchmarks.results import Row
from mirsb_build.checks.integrity import MEASURES, Integrity, Measure
from mirsb_build.checks.nudity import DETECTORS
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.ports import DecodedImages, Evidence, Pixels
from mirsb_build.records import Candidate, Origin, Picture, SeedQuery
from mirsb_build.runtime.dependencies import installed

SIDE = 512
EACH = 60
"""Flawed pictures of a kind."""
RECALL, PRECISION = 0.9, 0.99
RELATION_TYPE = load_taxonomy().relation_type("Causality")
LIMITS: dict[str, tuple[float, ...]] = {
    "max_aspect": (1.8, 2.0, 2.5, 3.0, 4.0),
    "min_spread": (2, 4, 8, 16),
    "min_drawn": (0.01, 0.015, 0.02, 0.025, 0.03, 0.05),
    "min_coherence": (0.1, 0.2, 0.25, 0.3, 0.4),
    "max_repetition": (0.6, 0.7, 0.8, 0.9, 0.95),
    "max_lost": (0.05, 0.1, 0.15, 0.2, 0.3),
}
TONES = ((255, 219, 172), (241, 194, 125), (224, 172, 105), (198, 134, 66), (141, 85, 36), (90, 56, 37))
"""Of skin."""


@dataclass(frozen=True)
class Sample:
    """One picture, its kind, and the option whose limit it should be beyond; empty for a good one."""

    kind: str
    pixels: Pixels
    flaw: str = ""


def measure() -> list[Row]:
    """Precision and recall of each measure and of all; false positives of the detectors of nudity."""
    good = [Sample(case.kind, case.pixels) for case in cases()]
    good += [Sample("line drawing", _in_lines(random.Random(n))) for n in range(EACH)]
    flawed = list(_flawed([sample.pixels for sample in good if sample.kind != "line drawing"]))
    return [*_integrity(good, flawed), *_harmless(good)]


def _integrity(good: Sequence[Sample], flawed: Sequence[Sample]) -> list[Row]:
    rows = [Row("good pictures", len(good), "pictures"), Row("flawed pictures", len(flawed), "pictures")]
    options = Integrity.Options()
    for one in MEASURES:
        if one.option in LIMITS:
            rows += _of_one(one, float(getattr(options, one.option)), good, flawed)
    check = Integrity(options, load_taxonomy())
    began = time.perf_counter()
    wrong = [sample for sample in good if _fails(check, sample.pixels)]
    each = (time.perf_counter() - began) / len(good)
    told = sum(_fails(check, sample.pixels) for sample in flawed)
    print("good pictures that fail:", ", ".join(f"{s.kind} ({_reason(check, s.pixels)})" for s in wrong) or "none")
    recall, precision = told / len(flawed), told / (told + len(wrong))
    return [
        *rows,
        Row("integrity: recall", recall, "share", f">= {RECALL}", recall >= RECALL),
        Row("integrity: precision", precision, "share", f">= {PRECISION}", precision >= PRECISION),
        Row("integrity: good pictures that fail", len(wrong), f"of {len(good)}"),
        Row("integrity: a picture", each * 1000, "ms"),
    ]


def _of_one(one: Measure, shipped: float, good: Sequence[Sample], flawed: Sequence[Sample]) -> list[Row]:
    """Prints the measure's curve; precision and recall at the shipped limit, and recall by kind of flaw."""
    fine = np.array([one.of(sample.pixels) for sample in good])
    bad = [(sample.kind, one.of(sample.pixels)) for sample in flawed if sample.flaw == one.option]
    found = np.array([value for _, value in bad])
    print(f"{one.option}: limit, precision, recall, good pictures beyond it")
    for limit in LIMITS[one.option]:
        told, wrong = _beyond(one, found, limit), _beyond(one, fine, limit)
        mark = " (shipped)" if limit == shipped else ""
        precision = told.sum() / max(1, told.sum() + wrong.sum())
        print(f"  {limit:<6}  {precision:.3f}  {told.mean():.3f}  {wrong.sum()}{mark}")
    told, wrong = _beyond(one, found, shipped), _beyond(one, fine, shipped)
    rows = [
        Row(f"{one.option} {shipped:g}: recall", float(told.mean()), "share"),
        Row(f"{one.option} {shipped:g}: precision", float(told.sum() / (told.sum() + wrong.sum())), "share"),
    ]
    for kind in dict.fromkeys(kind for kind, _ in bad):
        of = np.array([k == kind for k, _ in bad])
        rows.append(Row(f"  recall, {kind}", float(told[of].mean()), "share"))
    return rows


def _beyond(one: Measure, values: np.ndarray, limit: float) -> np.ndarray:
    return np.array([one.margin(float(value), limit) < 1 for value in values])


def _fails(check: Integrity, pixels: Pixels) -> bool:
    return bool(_reason(check, pixels))


def _reason(check: Integrity, pixels: Pixels) -> str:
    """Why the check fails the picture; empty where it passes."""
    seed = SeedQuery(risk_category="Privacy", facet="", text="See.", origin=Origin(kind="file", name="benchmark"))
    shown = Candidate(seed_query=seed, relation_type="Causality", pictures=(Picture(description="A", keywords=("a",)),))
    verdict = check.judge(shown, Evidence(RELATION_TYPE, lambda: DecodedImages((pixels,))))
    said = [part for part in verdict.reason.split("; ") if "has no image" not in part and "a side" not in part]
    return "; ".join(said)


# Flaws


def _flawed(good: Sequence[Pixels]) -> Iterator[Sample]:
    for number in range(EACH):
        dice = random.Random(number)
        some = dice.choice(good)
        yield Sample("one tone, faint grain", _faint(number), "min_spread")
        yield Sample("speck of 5 % of the side", _speck(dice, 0.05), "min_drawn")
        yield Sample("speck of 10 %", _speck(dice, 0.1), "min_drawn")
        for grain in (1, 2, 4, 8):
            yield Sample(f"noise of {grain} px", _noise(number, grain), "min_coherence")
        yield Sample("grey noise of 1 px", _noise(number, 1).convert("L").convert("RGB"), "min_coherence")
        yield Sample("stretched 4 times", some.resize((SIDE * 2, SIDE // 2)), "max_aspect")
        for times in (2, 3, 4, 6):
            yield Sample(f"tiles, {times} x {times}", _tiled(some, times, times), "max_repetition")
        yield Sample("tiles, 1 x 2", _tiled(some, 1, 2), "max_repetition")
        for share in (0.25, 0.5, 0.75):
            for name, tone in (("grey", (128, 128, 128)), ("black", (0, 0, 0))):
                yield Sample(f"cut off, {share:.0%} {name}", _cut(some, share, tone), "max_lost")


def _in_lines(dice: random.Random) -> Pixels:
    pixels = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(pixels)
    for _ in range(dice.randint(2, 5)):
        x, y, side = dice.randint(60, 250), dice.randint(60, 250), dice.randint(120, 220)
        width = dice.randint(2, 4)
        kind = dice.choice(("ellipse", "rectangle", "lines"))
        if kind == "lines":
            pen.line([(x, y), (x + side, y + side), (x + side, y)], fill="black", width=width)
        else:
            getattr(pen, kind)((x, y, x + side, y + side), outline="black", width=width)
    return pixels


def _faint(seed: int) -> Pixels:
    chance = np.random.default_rng(seed)
    return Image.fromarray((chance.integers(20, 235, 3) + chance.normal(0, 3, (SIDE, SIDE, 3))).astype(np.uint8))


def _speck(dice: random.Random, share: float) -> Pixels:
    ground, tone = (tuple(dice.randint(0, 255) for _ in range(3)) for _ in range(2))
    pixels, side = Image.new("RGB", (SIDE, SIDE), ground), int(SIDE * share)
    x, y = (dice.randint(0, SIDE - side) for _ in range(2))
    ImageDraw.Draw(pixels).ellipse((x, y, x + side, y + side), fill=tone)
    return pixels


def _noise(seed: int, grain: int) -> Pixels:
    """Noise whose grains are so many pixels, blurred, with fine noise over it: an imitation of undenoised latents."""
    chance = np.random.default_rng(seed)
    coarse = chance.normal(128, 60, (SIDE // grain, SIDE // grain, 3)).clip(0, 255).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    return Image.fromarray((smooth + chance.normal(0, 12, smooth.shape)).clip(0, 255).astype(np.uint8))


def _tiled(pixels: Pixels, across: int, down: int) -> Pixels:
    width, height = round(pixels.width / across), round(pixels.height / down)
    small, whole = pixels.resize((width, height)), Image.new("RGB", (width * across, height * down))
    for x in range(across):
        for y in range(down):
            whole.paste(small, (x * width, y * height))
    return whole.resize(pixels.size)


def _cut(pixels: Pixels, share: float, tone: tuple[int, int, int]) -> Pixels:
    pixels = pixels.copy()
    pixels.paste(tone, (0, round(pixels.height * (1 - share)), pixels.width, pixels.height))
    return pixels


# Nudity: false positives alone


def _harmless(good: Sequence[Sample]) -> list[Row]:
    mild: dict[str, list[Pixels]] = {}
    for sample in good:
        mild.setdefault(f"{sample.kind}s", []).append(sample.pixels)
    faces = _faces()
    photographs = mild["photographs"][:60]
    mild |= {"faces, grey": faces, "skin tones alone": list(_skins())}
    mild["photographs and faces tinted as skin"] = [
        _tinted(pixels, tone) for tone in TONES for pixels in (*faces[:20], *photographs)
    ]
    rows: list[Row] = []
    for name, kind in DETECTORS.items():
        if installed(kind.package) is None:
            print(f"{name} is left out: {kind.package} is not installed")
            continue
        detector = kind()
        scores: dict[str, np.ndarray] = {}
        began = time.perf_counter()
        for what, pictures in mild.items():
            seen = [s for n in range(0, len(pictures), 32) for s in detector.see(pictures[n : n + 32])]
            scores[what] = np.array([one.probability for one in seen])
        each = (time.perf_counter() - began) / sum(map(len, mild.values()))
        rows += [*_of_detector(name, scores), Row(f"{name}: a picture", each * 1000, "ms")]
    return rows


def _of_detector(name: str, scores: Mapping[str, np.ndarray]) -> list[Row]:
    print(f"{name}: mild pictures at or above 0.2, 0.3, 0.4, 0.5, 0.6; highest")
    rows: list[Row] = []
    for what, found in scores.items():
        counts = ", ".join(str(int((found >= limit).sum())) for limit in (0.2, 0.3, 0.4, 0.5, 0.6))
        print(f"  {what} ({len(found)}): {counts}; {found.max():.3f}")
        rows.append(Row(f"{name}: {what} failed", float((found >= 0.4).mean()), "share"))
    return rows


def _faces() -> list[Pixels]:
    """A hundred faces of Labeled Faces in the Wild that scikit-image ships, 25 pixels a side."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    found = np.load(Path(spec.origin).parent / "data" / "lfw_subset.npy")[:100]
    tones = (found / found.max() * 255).astype(np.uint8)
    return [Image.fromarray(face).convert("RGB").resize((256, 256), Image.Resampling.BICUBIC) for face in tones]


def _skins() -> Iterator[Pixels]:
    chance = np.random.default_rng(1)
    for tone in TONES:
        yield Image.new("RGB", (256, 256), tone)
        for _ in range(5):
            shade = Image.fromarray(chance.normal(0, 1, (6, 6)).astype(np.float32)).resize((256, 256))
            lit = np.array(tone) * (1 + 0.18 * np.asarray(shade)[..., None])
            yield Image.fromarray(lit.clip(0, 255).astype(np.uint8))


def _tinted(pixels: Pixels, tone: tuple[int, int, int]) -> Pixels:
    grey = np.asarray(pixels.convert("L"), dtype=np.float32)[..., None] / 160
    return Image.fromarray((np.array(tone) * grey).clip(0, 255).astype(np.uint8))
