"""The sentence embedder of the checks that compare meanings."""

from __future__ import annotations

from mirsb_build.checks.lazy_model import LazyModel, find_packages
from mirsb_build.similarity.embedder import MODEL_PACKAGE, PACKAGED, embedder_identity
from mirsb_build.similarity.embedding_cache import EmbeddingCache, embedding_cache


def lazy_embedder(name: str) -> LazyModel[EmbeddingCache]:
    """The embedder of that name, all checks of the process sharing its vectors."""

    def find() -> str:
        find_packages(["sentence-transformers", *([MODEL_PACKAGE] if name == PACKAGED else [])])
        return embedder_identity(name)

    return LazyModel(find, lambda: embedding_cache(name).load(), name)
