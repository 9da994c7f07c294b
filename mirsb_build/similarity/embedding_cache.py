"""Vectors of texts, shared by the checks that compare meanings, so that no text goes through a model twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from threading import Lock

from mirsb_build.errors import ModelError
from mirsb_build.runtime.dependencies import lacking
from mirsb_build.similarity.embedder import MODEL_PACKAGE, PACKAGED, Embedder, Vectors

KNOWN = 60_000
"""Vectors that are kept: 90 MB of all-MiniLM-L6-v2."""

AT_ONCE = 256
"""Texts that one core embeds at a time; more are shared out. Two cores that do so embed more than one model on two."""


class KnownTexts:
    """An embedder that remembers; it may be used from several threads. Raises ModelError as the embedder does."""

    def __init__(self, name: str) -> None:
        self._embedder = Embedder(name)
        self.identity = self._embedder.identity
        self._vectors: dict[str, Vectors] = {}
        self._lock = Lock()

    def embed(self, texts: Iterable[str]) -> dict[str, Vectors]:
        """A vector for each text; new ones go through the model together, very many of them on all cores."""
        wanted = dict.fromkeys(texts)
        with self._lock:
            known = {text: self._vectors[text] for text in wanted if text in self._vectors}
        new = [text for text in wanted if text not in known]
        if not new:
            return known
        new.sort(key=len)
        parts = [new[start : start + AT_ONCE] for start in range(0, len(new), AT_ONCE)]
        if len(parts) == 1:
            vectors = [self._embedder.embed(new, one_core=True)]
        else:
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                vectors = list(threads.map(partial(self._embedder.embed, one_core=True), parts))
        made = dict(zip(new, (vector for part in vectors for vector in part), strict=True))
        with self._lock:
            self._vectors |= made
            while len(self._vectors) > KNOWN:
                del self._vectors[next(iter(self._vectors))]  # the oldest
        return known | made


def known_texts(embedder: str) -> KnownTexts | str:
    """The texts known to an embedder, the same for all checks of the process; or why a check has to abstain."""
    packages: Sequence[str] = ["sentence-transformers", *([MODEL_PACKAGE] if embedder == PACKAGED else [])]
    if reason := lacking(packages):
        return reason
    try:
        return _known_texts(embedder)
    except ModelError as error:
        return str(error)


_known_texts = lru_cache(maxsize=2)(KnownTexts)
