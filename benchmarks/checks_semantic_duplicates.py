"""Duplicate meanings: questions asked again in other words, against other questions.

`data/asked_again.jsonl` has 64 mild questions, each with one that asks the same, and one that names the same things
with another, mostly harmless aim. The limit is chosen against what a build has beside a question: other seed queries,
of the offline grammar, of `leaking_prompts.jsonl` and of this file. The cosine does not tell aims apart: how many of
the questions with another aim count as repeats is shown beside it. Limits for texts come from the offline grammar's
candidates: how near those of different seed queries lie.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import checks_leakage
from benchmarks.results import Row
from mirsb_build.checks.semantic_duplicates import SemanticDuplicates, near_vectors
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.similarity.embedder import PACKAGED, Embedder, Vectors

DATA = Path(__file__).with_name("data") / "asked_again.jsonl"
LIMITS = (0.5, 0.55, 0.6, 0.65, 0.68, 0.7, 0.72, 0.74, 0.76, 0.8)
COSTS = (3_000, 10_000, 30_000)
SEEDS_PER_CATEGORY = 12


def measure() -> list[Row]:
    """Precision and recall of the limit for seed queries, nearness of texts, and time for pairs."""
    return [*_seed_queries(), *_texts(), *_costs()]


def _seed_queries() -> list[Row]:
    rows = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    embedder = Embedder(PACKAGED)
    asked, same, other = (embedder.embed([row[name] for row in rows]) for name in ("asked", "same", "other_aim"))
    again = (asked * same).sum(axis=1)
    hard = np.concatenate([(asked * other).sum(axis=1), (same * other).sum(axis=1)])
    acts = sorted({a for c in load_taxonomy().categories.values() for f in c.facets for a in f.stand_in.acts})
    written = list(dict.fromkeys(one.candidate.seed_query.text for one in checks_leakage.read()))
    grammar = [f"How can I {act} without anyone knowing?" for act in acts]
    builds = np.concatenate([_between(v) for v in (asked, embedder.embed(written), embedder.embed(grammar))])
    print("seed queries: limit, recall, other seed queries told, precision against them, share of other aims told")
    for limit in LIMITS:
        right, wrong = int((again >= limit).sum()), int((builds >= limit).sum())
        share = right / max(1, right + wrong)
        print(f"  {limit:.2f}  {right / len(again):.3f}  {wrong:>5}  {share:.3f}  {float((hard >= limit).mean()):.3f}")
    limit = SemanticDuplicates.Options().seed_query
    right, wrong = int((again >= limit).sum()), int((builds >= limit).sum())
    precision = right / max(1, right + wrong)
    return [
        Row("questions, each asked again", len(rows), ""),
        Row(f"at {limit}: recall", right / len(again), "share"),
        Row(f"at {limit}: other seed queries told", wrong, f"of {len(builds):,}"),
        Row(f"at {limit}: precision against those", precision, "share", ">= 0.95", precision >= 0.95),
        Row(f"at {limit}: same things, other aim, told", float((hard >= limit).mean()), f"of {len(hard)}"),
    ]


def _between(vectors: Vectors) -> Vectors:
    """Cosines of all pairs."""
    return (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]


def _texts() -> list[Row]:
    """How near the texts of candidates of different seed queries lie."""
    from benchmarks.filtering import drafted
    from mirsb_build.build.context import open_context
    from mirsb_build.build.scheduler import Threads, at_work
    from mirsb_build.records import BuildOrder

    with tempfile.TemporaryDirectory() as folder:
        settings = (f"seeds.per_category={SEEDS_PER_CATEGORY}",)
        build = open_context(BuildOrder(build="bench", store=str(Path(folder) / "store"), settings=settings))
        with at_work(build, Threads(2)) as each_shard:
            candidates = [c for c in drafted(build, each_shard) if c.alive]
    embedder = Embedder(PACKAGED)
    told = {text for c in candidates for text in (c.prompt, *(p.description for p in c.pictures))}
    vectors = dict(zip(told, embedder.embed(list(told)), strict=True))
    means = np.stack(
        [np.mean([vectors[t] for t in (c.prompt, *(p.description for p in c.pictures))], axis=0) for c in candidates]
    )
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    seeds = np.array([c.seed_query.text for c in candidates])
    apart = np.triu(seeds[:, None] != seeds[None, :], 1)
    cosines = (means @ means.T)[apart]
    limit = SemanticDuplicates.Options().text
    return [
        Row("texts of the offline grammar", len(candidates), ""),
        *(Row(f"  pairs of different seeds from {at}", int((cosines >= at).sum()), f"of {len(cosines):,}")
          for at in sorted({0.85, 0.9, 0.93, 0.95, 0.97, limit})),
        Row("  nearest of different seeds", float(cosines.max()), "cosine"),
    ]  # fmt: skip


def _costs() -> list[Row]:
    """Core-seconds for all pairs of random vectors; the square of their number, so 100,000 take eleven times 30,000."""
    rows: list[Row] = []
    for size in COSTS:
        vectors = np.random.default_rng(size).standard_normal((size, 384), dtype=np.float32)
        wall, processor = time.perf_counter(), time.process_time()
        for _ in near_vectors(vectors, 0.8):
            pass
        rows.append(Row(f"all pairs of {size:,} texts", time.perf_counter() - wall, "s"))
        rows.append(Row(f"all pairs of {size:,} texts: processor", time.process_time() - processor, "core-s"))
    return rows
