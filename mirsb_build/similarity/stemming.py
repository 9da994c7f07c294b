"""Stems of English words, from any thread."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from snowballstemmer import EnglishStemmer


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """The stem of a word in lower case (Porter 2).

    Each word has a stemmer of its own: one keeps the word that it is at, and shards are worked on in threads.
    """
    return cast(str, EnglishStemmer().stemWord(word))
