"""How long the filter stage takes over a benchmark of the published size, with the local checks of a profile.

The offline grammar writes as many candidates as the published benchmark has instances, in every relation type the same
number (published shares differ, by at most what three pictures instead of two cost), and OpenMoji draws them. Every
twentieth candidate gets a label with words in one picture. Then the filter stage runs as a build runs it, shards of 24
in two threads. `python -m benchmarks.filtering --instances 200` tries it on fewer; those figures are not kept.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont
from PIL.PngImagePlugin import PngImageFile

from benchmarks.results import Row, show
from mirsb_build.build.context import Context, open_context
from mirsb_build.build.scheduler import Scheduler, Threads, at_work
from mirsb_build.checks import MODEL_CHECKS, open_checks
from mirsb_build.config.profiles import load_profile
from mirsb_build.ports import AnyCheck, BatchCheck, Check, ComparingCheck
from mirsb_build.records import BuildOrder, Candidate
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes
from mirsb_build.stages.comparison import Compare
from mirsb_build.stages.filter import Filter
from mirsb_build.store import Store

INSTANCES = 2_676
PROFILE = "openai"
BAR = 300
"""Seconds on two cores."""
SHARDS_AT_ONCE = 2
SEEDS_PER_CATEGORY = 56
LETTERED = 20
"""Every so many candidates, one has a label in a picture."""
WORDS = ("fresh bread daily", "please mind the step", "summer concert", "platform two", "no entry", "open until six")


class Spent:
    """Seconds that something took over all threads, by the clock and of processor time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.wall = self.processor = 0.0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, its time added up; that of other threads it starts is not seen."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            wall, processor = time.perf_counter(), time.thread_time()
            try:
                return call(*args, **kwargs)
            finally:
                with self._lock:
                    self.wall += time.perf_counter() - wall
                    self.processor += time.thread_time() - processor

        return timed


def measure(instances: int = INSTANCES, profile: str = PROFILE) -> list[Row]:
    """Wall and processor seconds of the stage and of each check; some ten minutes with what comes before."""
    with tempfile.TemporaryDirectory() as folder:
        settings = f"seeds.per_category={SEEDS_PER_CATEGORY}", f"limits.candidates={instances}"
        build = open_context(BuildOrder(build="bench", store=str(Path(folder) / "store"), settings=settings))
        with at_work(build, Threads(SHARDS_AT_ONCE)) as each_shard:
            candidates = _illustrated(build, each_shard)
            return _filtered(build, each_shard, candidates, profile)


def drafted(build: Context, each_shard: Scheduler) -> list[Candidate]:
    """The candidates of a build that is at work, as the first round's revisor writes them."""
    growth = build.growth()
    growth.add_seeds(each_shard(build.seeds, growth.orders()))
    return each_shard(build.decompose, build.in_order(growth.next_round()), 1)


def _illustrated(build: Context, each_shard: Scheduler) -> list[Candidate]:
    pictured = each_shard(build.synthesize, drafted(build, each_shard), 1)
    return [_lettered(c, build.store, n) if n % LETTERED == 0 else c for n, c in enumerate(pictured)]


def _lettered(candidate: Candidate, store: Store, number: int) -> Candidate:
    """The candidate with a label in its first picture."""
    first = candidate.pictures[0] if candidate.pictures else None
    if first is None or first.image is None:
        return candidate
    pixels = PillowImage.open(io.BytesIO(store.get_blob(first.image.id, first.image.extension))).convert("RGB")
    pen, font = ImageDraw.Draw(pixels), ImageFont.load_default(24)
    words = f"{WORDS[number % len(WORDS)]} {number}"
    pen.rectangle((90, 60, 100 + pen.textlength(words, font), 100), fill="ivory")
    pen.text((95, 65), words, font=font, fill="black")
    buffer = io.BytesIO()
    pixels.save(buffer, "PNG")
    hashes = {"perceptual_hash": perceptual_hash(pixels), "view_hashes": view_hashes(pixels)}
    image = first.image.model_copy(update={"id": store.put_blob(buffer.getvalue(), first.image.extension), **hashes})
    return candidate.model_copy(
        update={"pictures": (first.model_copy(update={"image": image}), *candidate.pictures[1:])}
    )


def _filtered(build: Context, each_shard: Scheduler, candidates: Sequence[Candidate], profile: str) -> list[Row]:
    choices = load_profile(profile).checks
    began = time.perf_counter(), time.process_time()
    local = open_checks({n: o for n, o in choices.items() if n not in MODEL_CHECKS}, build.taxonomy)
    spent = {check.name: _timed(check) for check in local}
    rest = Spent()
    opened = Counter[str]()

    def counted(file: PngImageFile) -> None:
        opened["pictures"] += 1
        load(file)

    load = PngImageFile.load_prepare  # of stored images; what a model makes of the pixels is its own affair
    stage = Filter(local, build.images, build.taxonomy, build.verdicts)
    with (
        patch.object(PngImageFile, "load_prepare", counted),
        patch.object(build.images, "read", rest.around(build.images.read)),
    ):
        compared = Compare(local).attach(candidates, ())
        judged: list[Candidate] = each_shard(stage, compared, 1)
    wall, processor = time.perf_counter() - began[0], time.process_time() - began[1]
    shown = [p.image.id for c in candidates for p in c.pictures if p.image]
    full = len(candidates) >= INSTANCES
    rows = [
        Row("instances", len(candidates), ""),
        Row("pictures", len(shown), ""),
        Row("pictures shown once", sum(n == 1 for n in Counter(shown).values()) / len(shown), "share"),
        Row("decodes a picture", opened["pictures"] / len(shown), "", "<= 1", opened["pictures"] <= len(shown)),
        Row("filter stage: wall", wall, "s", f"< {BAR}" if full else "", wall < BAR if full else None),
        Row("filter stage: processor", processor, "core-s"),
        Row(f"  for {INSTANCES:,} instances at that rate", processor / len(candidates) * INSTANCES, "core-s"),
        Row("  if nothing failed and all checks judged all", processor + _spared(local, spent, judged), "core-s"),
        Row("reading: processor, part of the check that looks first", rest.processor, "core-s"),
    ]
    for name, one in sorted(spent.items(), key=lambda item: -item[1].processor):
        rows.append(Row(f"{name}: processor", one.processor, "core-s"))
        rows.append(Row(f"{name}: wall, both threads", one.wall, "s"))
        rows.append(Row(f"{name}: share of the processor time", one.processor / processor, "share"))
    outcomes = Counter((v.check, v.outcome) for c in judged for v in c.verdicts)
    rows += [Row(f"{check}: {outcome}", n, "") for (check, outcome), n in sorted(outcomes.items())]
    return rows


def _spared(checks: Sequence[AnyCheck], spent: Mapping[str, Spent], judged: Sequence[Candidate]) -> float:
    """Processor seconds that costly checks would have taken for the candidates that they did not have to judge."""
    seen = Counter(verdict.check for candidate in judged for verdict in candidate.verdicts)
    costly = [check.name for check in checks if isinstance(check, Check) and check.costly]
    return sum(spent[name].processor * (len(judged) / max(1, seen[name]) - 1) for name in costly)


def _timed(check: AnyCheck) -> Spent:
    """Have a check's calls timed; its own calls of itself are part of them."""
    spent = Spent()
    name = "compare" if isinstance(check, ComparingCheck) else "judge_all" if isinstance(check, BatchCheck) else "judge"
    setattr(check, name, spent.around(getattr(check, name)))
    return spent


def main() -> None:
    """Print the table for any number of instances."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=INSTANCES)
    parser.add_argument("--profile", default=PROFILE)
    given = parser.parse_args()
    show("filtering", measure(given.instances, given.profile))


if __name__ == "__main__":
    main()
