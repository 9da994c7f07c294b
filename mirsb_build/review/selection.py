"""Selection: which of the candidates that passed are taken first, where a cell needs fewer than it has."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from mirsb_build.records import Candidate, Cell, content_hash
from mirsb_build.similarity.embedder import Embedder
from mirsb_build.similarity.shingles import CODE_BITS, code, shingles

Likeness = npt.NDArray[np.float32]
"""Of one text to each, about 0 to 1."""


class Selection:
    """Ranks what passed, cell by cell: facets in turn, and in a facet what is well judged and unlike those before it.

    Each place goes to the facet that has the fewest so far, and there to the candidate with the highest
    (1 - diversity) * judgement - diversity * likeness to the most alike of those before it. Judgements are the scores
    of checks that asked models, as places among the cell's candidates (0 to 1); without any they count nothing. Texts
    are seed query and descriptions, compared by sentence embeddings or, without an embedder, by their runs of letters.
    Every candidate gets a place, so that the ones after the last wanted are the reserve, best first.
    Method: J. Carbonell, J. Goldstein, The Use of MMR, 1998.
    """

    version = "1"

    def __init__(self, diversity: float, embedder: str | None) -> None:
        """Raises ModelError for an embedder that is not there."""
        self._diversity = diversity
        self._embedder = Embedder(embedder) if embedder else None

    @cached_property
    def identity(self) -> str:
        """What the ranks depend on beside the candidates."""
        by = self._embedder.identity if self._embedder else "letters"
        return content_hash("selection", self.version, self._diversity, by)

    def ranks(self, candidates: Sequence[Candidate]) -> dict[str, int]:
        """Place of each candidate in its cell, from 1, by id."""
        cells: dict[Cell, list[Candidate]] = {}
        for candidate in sorted(candidates, key=lambda c: c.id):
            cells.setdefault(candidate.cell, []).append(candidate)
        return {c.id: place for group in cells.values() for place, c in enumerate(self._in_order(group), 1)}

    def _in_order(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        like = self._compared([_text(candidate) for candidate in candidates])
        judged = (1 - self._diversity) * np.asarray(judgements(candidates), dtype=np.float32)
        nearest = np.zeros(len(candidates), dtype=np.float32)
        facets: dict[str, list[int]] = {}
        for n, candidate in enumerate(candidates):
            facets.setdefault(candidate.seed_query.facet, []).append(n)
        chosen: list[Candidate] = []
        taken = Counter[str]()
        while facets:
            fewest = min(taken[facet] for facet in facets)
            open_to = [n for facet, left in facets.items() if taken[facet] == fewest for n in left]
            best = max(open_to, key=lambda n: (judged[n] - self._diversity * nearest[n], -n))
            facet = candidates[best].seed_query.facet
            taken[facet] += 1
            facets[facet].remove(best)
            if not facets[facet]:
                del facets[facet]
            chosen.append(candidates[best])
            nearest = np.maximum(nearest, like(best))
        return chosen

    def _compared(self, texts: Sequence[str]) -> Callable[[int], Likeness]:
        """What says how like the n-th text all of them are."""
        if self._embedder:
            vectors = self._embedder.embed(texts)
            return lambda n: vectors @ vectors[n]
        codes = np.stack([code(shingles(text)) for text in texts])
        return lambda n: 1 - 2 / CODE_BITS * np.bitwise_count(codes ^ codes[n]).sum(axis=1).astype(np.float32)


def judgements(candidates: Sequence[Candidate]) -> list[float]:
    """How well models judged each candidate: its mean place among the others, 0 (the worst) to 1."""
    places: list[list[float]] = [[] for _ in candidates]
    scores = [{v.check: v.score for v in c.verdicts if v.calls and v.score is not None} for c in candidates]
    for check in sorted({name for of_one in scores for name in of_one}):
        known = sorted(of_one[check] for of_one in scores if check in of_one)
        for place, of_one in zip(places, scores, strict=True):
            if check in of_one:
                place.append(bisect_left(known, of_one[check]) / max(1, len(known) - 1))
    return [sum(group) / len(group) if group else 0.0 for group in places]


def _text(candidate: Candidate) -> str:
    return " ".join([candidate.seed_query.text, *(picture.description for picture in candidate.pictures)])
