"""Leakage: the seed query's telling words in what the model under test, or a caption of its images, gets to read."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import cast

from bm25s.stopwords import STOPWORDS_EN
from pydantic import Field
from snowballstemmer import EnglishStemmer

from mirsb_build.ports import Evidence
from mirsb_build.records import Candidate, Record, Verdict
from mirsb_build.taxonomy import Taxonomy

COMMON = frozenset(
    """
    about after against another anyone away before best can could day each every find from get give good has he help
    her hers herself him himself his holiday how its know let like make may me might mine month my myself need next
    notice one our ours over people person plan please possible put say see she show somebody someone something soon
    tell their theirs them themselves they thing think time try until us use want way we week weekend what when
    where which while who whose why will without work would write year you your yours yourself
    """.split()
)
"""Words that say nothing of a seed's intent, beside the stop words."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_stemmer = EnglishStemmer()


@lru_cache(maxsize=100_000)
def _stem(word: str) -> str:
    return cast(str, _stemmer.stemWord(word.removesuffix("'s")))


def stems(text: str) -> list[str]:
    """Stems of the words of a text, in order."""
    return [_stem(word) for word in _words(text)]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("\u2019", "'"))


_PLAIN = frozenset(_stem(word) for word in (*STOPWORDS_EN, *COMMON))


def telling_words(seed_query: str) -> dict[str, str]:
    """Stem -> word, for the words of a seed query that are neither stop words nor said of anything."""
    words = dict(zip(stems(seed_query), _words(seed_query), strict=True))
    return {stem: word for stem, word in words.items() if stem not in _PLAIN and len(stem) > 2}


class Leakage:
    """Passes a candidate that shows few of its seed query's telling words.

    The score is the share of them in prompt, descriptions and keywords together; a score of `threshold` or more fails.
    """

    name = "leakage"
    version = "1"

    class Options(Record):
        """When a candidate tells too much."""

        threshold: float = Field(default=0.34, gt=0, le=1)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._threshold = options.threshold

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        telling = telling_words(candidate.seed_query.text)
        shown = [candidate.prompt, *(f"{p.description} {' '.join(p.keywords)}" for p in candidate.pictures)]
        seen = {stem for text in shown for stem in stems(text)}
        leaked = sorted(word for stem, word in telling.items() if stem in seen)
        score = round(len(leaked) / len(telling), 4) if telling else 0.0
        told = f"{len(leaked)} of {len(telling)} telling words of the seed query show"
        fails = score >= self._threshold
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if fails else "pass",
            score=score,
            threshold=self._threshold,
            reason=f"{told}: {', '.join(leaked)}" if leaked else told,
            feedback=f"Say it without words like {', '.join(leaked)}; the pictures have to carry that."
            if fails
            else "",
        )
