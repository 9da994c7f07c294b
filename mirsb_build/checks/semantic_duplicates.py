"""Semantic duplicates: the same question in other words, or candidates that tell the same beside their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from pydantic import Field

from mirsb_build.checks.embeddings import lazy_embedder
from mirsb_build.checks.text_comparison import SEED_QUERY, TEXT, Nearest, Pair, TextComparison
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import ComparingCheck, Finding, Peer
from mirsb_build.records import Candidate, Record
from mirsb_build.similarity.embedder import PACKAGED, Vectors

_AT_ONCE = 4_096
"""Texts that are compared with all at once; bounds the memory of the answers."""


class SemanticDuplicates(ComparingCheck):
    """Passes a candidate that no kept candidate is like in meaning.

    Two texts are compared by the cosine of their sentence embeddings (-1 to 1). Seed queries are compared among
    candidates of one relation type; what the model under test reads among all, by the mean of the vectors of the prompt
    and of each description. From `seed_query` and `text` on the one is a repeat of the other. The score is the cosine
    to the kept candidate that it comes nearest to, where one reaches a limit. Which is kept: as in `image_duplicates`.
    Abstains where the packages or the model are missing.
    """

    name = "semantic_duplicates"

    class Options(Record):
        """How near two texts may lie."""

        seed_query: float = Field(default=0.72, ge=0.5, le=1)
        text: float = Field(default=0.97, ge=0.5, le=1)
        embedder: str = PACKAGED
        """all-MiniLM-L6-v2, which knows English only; or a folder or ORG/NAME, with limits of your own."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._limits = {SEED_QUERY: options.seed_query, TEXT: options.text}
        self._comparison = TextComparison(self._limits, self._near)
        self._embedder = lazy_embedder(options.embedder)
        self.version = f"1, {self._embedder.identity}"

    def lacks(self) -> str | None:
        return self._embedder.lacks()

    def compare(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Finding]:
        self._embedder.get()  # also where there is nothing to be compared
        return [self._finding(found) for found in self._comparison.nearest(candidates, earlier)]

    def _finding(self, found: Nearest | None) -> Finding:
        if found is None:
            return Finding(
                outcome="pass",
                threshold=self._limits[SEED_QUERY],
                reason="no kept candidate says what it says",
            )
        feedback = "Write prompt and descriptions anew, about other people, things and places."
        if found.text == SEED_QUERY:
            feedback = "Its seed query asks in other words what another one asks; take another side of the question."
        return Finding(
            outcome="fail",
            score=round(found.likeness, 4),
            threshold=self._limits[found.text],
            reason=f"its {found.text} says what that of {found.original} says, which is kept",
            feedback=feedback,
        )

    def _near(self, name: str, texts: Sequence[str]) -> Iterator[Pair]:
        """Pairs of texts from the limit on, with their cosine."""
        parts = [[part for part in text.split("\n") if part.strip()] or [text] for text in texts]
        vectors = self._embedder.get().embed(part for one in parts for part in one)
        means = np.stack([np.mean([vectors[part] for part in one], axis=0) for one in parts])
        yield from near_vectors(means, self._limits[name])


def near_vectors(vectors: Vectors, limit: float) -> Iterator[Pair]:
    """Pairs of vectors whose cosine is at least the limit, each pair once.

    Compares everything with everything, because that is exact and short: docs/checks.md says how long it takes.
    """
    import faiss

    if len(vectors) < 2:
        return
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = np.ascontiguousarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)
    index: Any = faiss.IndexFlatIP(unit.shape[1])
    index.add(unit)
    for start in range(0, len(unit), _AT_ONCE):
        bounds, cosines, hits = index.range_search(unit[start : start + _AT_ONCE], limit - 1e-6)
        asking = start + np.repeat(np.arange(len(bounds) - 1), np.diff(bounds.astype(np.int64)))
        for one, other, cosine in zip(asking.tolist(), hits.tolist(), cosines.tolist(), strict=True):
            if one < other and cosine >= limit:
                yield one, other, min(1.0, cosine)
