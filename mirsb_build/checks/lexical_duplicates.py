"""Lexical duplicates: the same question asked twice, or candidates that say the same beside their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from pydantic import Field

from mirsb_build.checks.text_comparison import SEED_QUERY, TEXT, Nearest, Pair, TextComparison
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import ComparingCheck, Finding, Peer
from mirsb_build.records import Candidate, Record
from mirsb_build.similarity.hamming import near_pairs
from mirsb_build.similarity.shingles import CODE_BITS, code, overlap, shingles

_BANDS = (CODE_BITS // 14, 14)
_SLACK = 16
"""Bits beyond the expected distance within which texts are compared in full: three standard deviations and more."""


class LexicalDuplicates(ComparingCheck):
    """Passes a candidate that no kept candidate is like by its words.

    Two texts are compared by the overlap of their runs of four letters (Jaccard index, 0-1). Seed queries are compared
    among candidates of one relation type, because a seed meets every relation type; what the model under test reads,
    prompt and descriptions together, is compared among all. A prompt alone is not: "explain how picture 1 leads to
    picture 2" may be asked of many pictures. The score is the largest overlap with a kept candidate, where one comes
    near; `likeness` and more fails. Which is kept: as in `image_duplicates`.
    """

    name = "lexical_duplicates"
    version = "2"

    class Options(Record):
        """How alike two texts may be."""

        likeness: float = Field(default=0.75, ge=0.6, le=1)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._likeness = options.likeness
        self._comparison = TextComparison({SEED_QUERY: options.likeness, TEXT: options.likeness}, self._overlaps)

    def compare(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Finding]:
        return [self._finding(found) for found in self._comparison.nearest(candidates, earlier)]

    def _finding(self, found: Nearest | None) -> Finding:
        fails = found is not None and found.fails
        reason, feedback = "no kept candidate comes near it by its words", ""
        if found is not None:
            reason = f"its {found.text} shares {found.likeness:.0%} of its letters' runs with that of {found.original}"
            reason += ", which is kept" if fails else ""
        if fails and found is not None:
            feedback = "Write prompt and descriptions anew, with other people, things and places."
            if found.text == SEED_QUERY:
                feedback = "Its seed query asks what another one asks; take another side of the question."
        return Finding(
            outcome="fail" if fails else "pass",
            score=round(found.likeness, 4) if found else None,
            threshold=self._likeness,
            reason=reason,
            feedback=feedback,
        )

    def _overlaps(self, name: str, texts: Sequence[str]) -> Iterator[Pair]:
        """Pairs of texts that come near the likeness, with their overlap."""
        if len(texts) < 2:
            return
        codes = np.stack([code(shingles(text)) for text in texts])[:, None]

        @lru_cache(maxsize=4096)  # those of all texts at once would take 25 KB a candidate, and few are near another
        def shingles_of(place: int) -> frozenset[int]:
            return shingles(texts[place])

        pairs = near_pairs(codes, round((1 - self._likeness) / 2 * CODE_BITS) + _SLACK, *_BANDS)
        for one, other, _ in pairs:
            yield one, other, overlap(shingles_of(one), shingles_of(other))
