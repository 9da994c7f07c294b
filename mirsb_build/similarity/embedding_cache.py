"""Vectors of texts, shared by the checks that compare meanings, so that no text goes through a model twice."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from threading import Lock

from cachetools import LRUCache

from mirsb_build.similarity.embedder import Embedder, Vectors

MOST_VECTORS = 60_000
"""Vectors that are held: 90 MB of all-MiniLM-L6-v2."""

AT_ONCE = 256
"""Texts that one core embeds at a time; more are shared out. Two cores that do so embed more than one model on two."""


class EmbeddingCache:
    """An embedder that remembers; it may be used from several threads. Raises ModelError as the embedder does."""

    def __init__(self, name: str) -> None:
        self._embedder = Embedder(name)
        self._vectors: LRUCache[str, Vectors] = LRUCache(MOST_VECTORS)
        self._lock = Lock()

    def load(self) -> EmbeddingCache:
        """Load the model now; raises ModelError."""
        self._embedder.load()
        return self

    def embed(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """Return a vector for each text; new ones go through the model together, very many of them on all cores."""
        wanted = dict.fromkeys(texts)
        with self._lock:
            known = {text: self._vectors[text] for text in wanted if text in self._vectors}
        new = sorted((text for text in wanted if text not in known), key=len)
        if not new:
            return known
        parts = [new[start : start + AT_ONCE] for start in range(0, len(new), AT_ONCE)]
        if len(parts) == 1:
            vectors = [self._embedder.embed(new, one_core=True)]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                vectors = list(threads.map(partial(self._embedder.embed, one_core=True), parts))
        embedded = dict(zip(new, (vector for part in vectors for vector in part), strict=True))
        with self._lock:
            self._vectors.update(embedded)
        return known | embedded


@lru_cache(maxsize=2)
def embedding_cache(embedder: str) -> EmbeddingCache:
    """The one cache of an embedder in this process; raises ModelError for one that is not there."""
    return EmbeddingCache(embedder)
