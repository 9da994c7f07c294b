"""Stems: the same from every thread."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from snowballstemmer import EnglishStemmer

from mirsb_build.similarity.stemming import stem

WORDS = [
    f"{start}{end}"
    for start in ("generous", "hopping", "national", "travell", "deni")
    for end in ("", "ly", "ing", "ers", "ed")
]


def test_words_have_their_stems() -> None:
    assert [stem(word) for word in ("travelling", "diaries", "reads")] == ["travel", "diari", "read"]


def test_threads_do_not_meet_in_one_stemmer() -> None:
    expected = {word: EnglishStemmer().stemWord(word) for word in WORDS}
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(20):
                stem.cache_clear()
                assert dict(zip(WORDS * 8, threads.map(stem, WORDS * 8), strict=True)) == expected
    finally:
        sys.setswitchinterval(before)
