"""Semantic leakage: texts that say what the seed query says, in whatever words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

from pydantic import Field

from mirsb_build.checks.embeddings import lazy_embedder
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import BatchCheck, Case, Evidence, Finding
from mirsb_build.records import Candidate, Record
from mirsb_build.similarity.embedder import PACKAGED, Vectors

WINDOW, STRIDE = 12, 3
"""Words of a prompt that are compared at once, and how far apart windows begin. A prompt is half about pictures and
parts, which draws its vector away from the seed: with windows of 12, the quarter of the leaks by meaning that lies
farthest from its seed is at a cosine of 0.36 or less, without windows at 0.32 (252 prompts, 2026-11-21)."""

_SENTENCE = re.compile(r"(?<=[.?!:])\s+")


class SemanticLeakage(BatchCheck):
    """Passes a candidate in which no text lies near its seed query in meaning.

    Compares the seed query with the prompt, its sentences and windows of them, with each description and with all
    keywords together. The score is the highest cosine (-1 to 1), less `apart` for descriptions and keywords: pictures
    show places, people and things of the matter, so their texts lie nearer the seed than a prompt may. A score of
    `threshold` or more fails. Abstains where the packages or the model are missing.
    """

    name = "semantic_leakage"

    class Options(Record):
        """When a candidate says too much."""

        threshold: float = Field(default=0.44, gt=0, le=1)
        apart: float = Field(default=0.15, ge=0, le=1)
        """How much nearer a description may lie than a prompt."""
        embedder: str = PACKAGED
        """all-MiniLM-L6-v2, which knows English only; or a folder or ORG/NAME, with thresholds of your own."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._chosen = options
        self._embedder = lazy_embedder(options.embedder)
        self.version = f"1, {self._embedder.identity}"

    def lacks(self) -> str | None:
        return self._embedder.lacks()

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        return self.judge_all([(candidate, evidence)])[0]

    def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
        """One finding a case; the texts of all cases go through the model together, sorted by length there."""
        embedder = self._embedder.get()
        compared = [(candidate.seed_query.text, _texts(candidate)) for candidate, _ in cases]
        vectors = embedder.embed(t for seed, texts in compared for t in (seed, *chain(*texts.values())))
        return [self._finding(self._nearness(*one, vectors)) for one in compared]

    def _finding(self, near: dict[str, float]) -> Finding:
        where = max(near, key=lambda name: near[name])
        fails = near[where] >= self._chosen.threshold
        return Finding(
            outcome="fail" if fails else "pass",
            score=near[where],
            threshold=self._chosen.threshold,
            reason=f"of all texts, {where} says most of the seed query",
            feedback=f"Rewrite {where}: it says what is aimed at, in other words. Name only what is seen or how the "
            "pictures relate."
            if fails
            else "",
        )

    def _nearness(self, seed_query: str, texts: dict[str, list[str]], vectors: dict[str, Vectors]) -> dict[str, float]:
        """Where a text stands -> how near the nearest of it lies."""
        seed = vectors[seed_query]
        near: dict[str, float] = {}
        for name, group in texts.items():
            cosines = [float(vectors[text] @ seed) for text in group]
            less = 0.0 if name == "the prompt" else self._chosen.apart
            near[name] = round(max(cosines, default=-1.0) - less, 4)
        return near


def _texts(candidate: Candidate) -> dict[str, list[str]]:
    """What is compared with the seed query, by where it stands."""
    keywords = ", ".join(dict.fromkeys(k for p in candidate.pictures for k in p.keywords))
    texts = {"the prompt": windows(candidate.prompt)}
    for number, picture in enumerate(candidate.pictures, 1):
        texts[f"the description of picture {number}"] = [picture.description]
    return texts | {"the keywords": [keywords] if keywords else []}


def windows(prompt: str) -> list[str]:
    """The prompt, its sentences, and every run of WINDOW words of a longer one; nothing for an empty prompt."""
    found = [prompt] if prompt.strip() else []
    for sentence in _SENTENCE.split(prompt.strip()):
        words = sentence.split()
        starts = range(0, max(len(words) - WINDOW, 0) + STRIDE, STRIDE)
        found += [" ".join(words[start : start + WINDOW]) for start in starts] if len(words) > WINDOW else []
        found += [sentence] if words else []
    return list(dict.fromkeys(found))
