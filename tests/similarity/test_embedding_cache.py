"""The cache of vectors: no text goes through the model twice, and all checks of a process share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mirsb_build.errors import ModelError
from mirsb_build.similarity.embedder import PACKAGED, Embedder
from mirsb_build.similarity.embedding_cache import AT_ONCE, EmbeddingCache, embedding_cache

TEXTS = ["A dog sleeps on a rug.", "She pours milk into a glass.", "A map hangs on the wall."]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that went through a model since."""
    texts: list[str] = []
    embed = Embedder.embed
    monkeypatch.setattr(Embedder, "embed", lambda self, some, **how: texts.extend(some) or embed(self, some, **how))
    return texts


def test_a_text_goes_through_the_model_once(embedded: list[str]) -> None:
    cache = EmbeddingCache(PACKAGED).load()
    first = cache.embed([*TEXTS[:2], TEXTS[0]])
    again = cache.embed(TEXTS)
    assert sorted(embedded) == sorted(TEXTS)
    assert first.keys() == {*TEXTS[:2]} and again.keys() == {*TEXTS}
    assert all(np.array_equal(first[text], again[text]) for text in first)


def test_very_many_texts_have_the_vectors_that_they_have_alone() -> None:
    cache = EmbeddingCache(PACKAGED)
    many = [f"thing {n}" for n in range(AT_ONCE + 1)]
    vectors = cache.embed(many)
    assert list(vectors) != [] and vectors.keys() == {*many}
    alone = Embedder(PACKAGED).embed(many[:1])[0]
    assert float(vectors[many[0]] @ alone) == pytest.approx(1, abs=1e-3)


def test_threads_get_the_same_vectors() -> None:
    cache = EmbeddingCache(PACKAGED)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: cache.embed(TEXTS), range(8)))
    assert all(float(one[text] @ found[0][text]) == pytest.approx(1, abs=1e-3) for one in found for text in TEXTS)


def test_a_process_has_one_cache_an_embedder_and_none_of_one_that_is_not_there() -> None:
    assert embedding_cache(PACKAGED) is embedding_cache(PACKAGED)
    with pytest.raises(ModelError, match="is not there"):
        embedding_cache("nowhere")
