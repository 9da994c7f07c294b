"""Which pictures fit a spec, and in which order: by word (BM25) and by meaning (cosine), fused.

A picture fits when its caption has all words of one of the keywords, or when caption and spec are nearer than the
embedder puts unrelated texts. Only where nothing fits so, one word of a keyword is enough. All that fits is ranked, so
that whoever chooses knows when there is nothing left.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from mirsb_build.records import ImageSpec
from mirsb_build.similarity.embedder import Vectors

Places = npt.NDArray[np.int64]
"""Places of pictures, the best first."""

FUSION = 60
"""The k of reciprocal rank fusion, as Cormack, Clarke and Buettcher measured it (SIGIR 2009)."""
AT_ONCE = 256
"""Specs that are looked up at once: the matches of so many are in memory together."""

_EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_WORD = re.compile(rf"[{_EAST}]|[^\W_{_EAST}]+")
"""A word, or one character of the scripts that write words without gaps."""


class Words:
    """The stems of the words of a text, stop words left out."""

    def __init__(self) -> None:
        from bm25s.stopwords import STOPWORDS_EN

        from mirsb_build.similarity.stemming import stem

        self._stopwords = frozenset(STOPWORDS_EN)
        self._stem = stem

    def __call__(self, text: str) -> list[str]:
        return [self._stem(word) for word in _WORD.findall(text.lower()) if word not in self._stopwords]


def query_text(spec: ImageSpec) -> str:
    """Word a spec as a text to be embedded."""
    return f"{', '.join(spec.keywords)}. {spec.description}"


class Lexical:
    """The captions by their words."""

    def __init__(self, captions: Sequence[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self.words = Words()
        documents = [self.words(caption) for caption in captions]
        places: dict[str, list[int]] = {}
        for place, document in enumerate(documents):
            for stem in dict.fromkeys(document):
                places.setdefault(stem, []).append(place)
        self._places = {stem: np.array(found, dtype=np.int64) for stem, found in places.items()}
        self._bm25: Any = bm25s.BM25()
        if places:  # it cannot index a collection without a word
            self._bm25.index(documents, show_progress=False)

    def having(self, stems: Iterable[str]) -> Places:
        """Captions that have all of the stems, in order; none for no stems."""
        lists = [self._places.get(stem, _NONE) for stem in dict.fromkeys(stems)]
        lists.sort(key=len)
        found = lists[0] if lists else _NONE
        for other in lists[1:]:
            found = np.intersect1d(found, other, assume_unique=True)
        return found

    def scores(self, stems: Iterable[str], of: Places) -> npt.NDArray[np.float32]:
        """BM25 of some captions."""
        known = [stem for stem in stems if stem in self._places]
        if not known:
            return np.zeros(len(of), dtype=np.float32)
        return self._bm25.get_scores(known)[of].round(4)


_NONE = np.empty(0, dtype=np.int64)


class Dense:
    """The captions by their meaning."""

    def __init__(self, vectors: Vectors, floor: float) -> None:
        import faiss

        self._floor = floor
        self._index: Any = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(vectors)
        held: Any = faiss.rev_swig_ptr(self._index.get_xb(), vectors.size)
        self._vectors: Vectors = held.reshape(vectors.shape)  # the index's own copy, so that ours can go

    def near(self, queries: Vectors) -> list[Places]:
        """For each query the captions above the floor, in order."""
        limits, _, places = self._index.range_search(queries, self._floor)
        return [np.sort(places[a:b]) for a, b in pairwise(limits)]

    def scores(self, query: Vectors, of: Places) -> npt.NDArray[np.float32]:
        """Cosine of some captions; rounded, so that a last bit does not decide between equals."""
        return (self._vectors[of] @ query).round(4)


class Ranking:
    """Everything of a collection that fits a spec."""

    def __init__(self, lexical: Lexical, dense: Dense | None) -> None:
        self._lexical = lexical
        self._dense = dense

    def fitting(self, specs: Sequence[ImageSpec], queries: Vectors | None) -> Iterator[Places]:
        """For each spec what fits, the best first; `queries` are their embeddings."""
        for start in range(0, len(specs), AT_ONCE):
            some = specs[start : start + AT_ONCE]
            vectors = queries[start : start + AT_ONCE] if queries is not None else None
            near = self._dense.near(vectors) if self._dense and vectors is not None else [_NONE] * len(some)
            known: dict[str, Places] = {}
            for number, spec in enumerate(some):
                if query_text(spec) not in known:
                    vector = vectors[number] if vectors is not None else None
                    known[query_text(spec)] = self._ranked(spec, near[number], vector)
                yield known[query_text(spec)]

    def _ranked(self, spec: ImageSpec, near: Places, vector: Vectors | None) -> Places:
        keywords = [self._lexical.words(keyword) for keyword in spec.keywords]
        named = [self._lexical.having(stems) for stems in keywords]
        fits = np.unique(np.concatenate([near, *named]))
        if not len(fits):
            fits = np.unique(np.concatenate([_NONE, *(self._lexical.having([s]) for k in keywords for s in k)]))
        stems = [stem for keyword in keywords for stem in keyword] + self._lexical.words(spec.description)
        fused = _by_rank(self._lexical.scores(stems, fits))
        if self._dense and vector is not None:
            fused += _by_rank(self._dense.scores(vector, fits))
        return fits[np.argsort(-fused, kind="stable")]


def _by_rank(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """1 / (k + rank), equals in order; nothing for a score of zero or less."""
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
    return np.where(scores > 0, 1 / (FUSION + ranks), 0.0)
