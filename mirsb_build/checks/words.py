"""Telling words: what of a seed query gives its intent away, and where it shows, in other forms and words too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from mirsb_build.config.taxonomy import Paraphrases
from mirsb_build.similarity.stemming import stem

STOP_WORDS = frozenset(
    """
    a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to
    was will with
    """.split()
)
"""Lucene's English ones, which bm25s has too: importing it takes a third of a second for scipy."""

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

SKIPPED = frozenset("a an the my your his her its our their him them me us you it".split())
"""Words that may stand or be missing inside a phrase."""

_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")

Stems = tuple[str, ...]
"""Stems of a word or phrase, in order."""


def _stem(word: str) -> str:
    return stem(word.removesuffix("'s"))


def stems(text: str) -> list[str]:
    """Stems of the words of a text, in order."""
    return [_stem(word) for word in words(text)]


def words(text: str) -> list[str]:
    """Words of a text in lower case, in order."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


_PLAIN = frozenset(_stem(word) for word in (*STOP_WORDS, *COMMON))


def telling_words(seed_query: str) -> dict[str, str]:
    """Stem -> word, for the words of a seed query that are neither stop words nor words that go with anything."""
    found = dict(zip(stems(seed_query), words(seed_query), strict=True))
    return {root: word for root, word in found.items() if root not in _PLAIN and len(root) > 2}


@dataclass(frozen=True)
class Sign:
    """One thing that a seed query tells: the word or phrase there, and every form that gives it away."""

    phrase: str
    forms: frozenset[Stems]

    def among(self, phrases: dict[Stems, str]) -> str | None:
        """The word or phrase among these that gives it away, the first of them by alphabet."""
        found = self.forms & phrases.keys()
        return min(phrases[form] for form in found) if found else None


class WordRules:
    """Finds a seed query's signs by its telling words and a list of paraphrases."""

    def __init__(self, paraphrases: Paraphrases) -> None:
        self._groups = [frozenset(_phrase(text) for text in group) for group in paraphrases.groups]
        self._longest = max((len(phrase) for group in self._groups for phrase in group), default=1)
        self.signs = lru_cache(maxsize=10_000)(self._signs)

    def phrases(self, texts: Iterable[str]) -> dict[Stems, str]:
        """Every run of words in the texts that a sign may have as a form: its stems -> its words."""
        runs: dict[Stems, str] = {}
        for text in texts:
            runs |= {run: phrase for run, (phrase, _) in _runs(text, self._longest).items()}
        return runs

    def _signs(self, seed_query: str) -> tuple[Sign, ...]:
        telling = telling_words(seed_query)
        forms: dict[str, set[Stems]] = {word: {(stem,)} for stem, word in telling.items()}
        runs = _runs(seed_query, self._longest)
        hits = [(phrase, group) for group in self._groups for phrase in group if phrase in runs]
        for phrase, group in hits:
            words_there, places = runs[phrase]
            if any(len(other) > len(phrase) and places <= runs[other][1] for other, _ in hits):
                continue  # the `bar` of a chocolate bar is not one that keeps people out
            owners = [telling[stem] for stem in phrase if stem in telling]
            if not owners and len(phrase) > 1:
                owners = [words_there]
            for owner in owners:
                forms.setdefault(owner, {phrase}).update(group)
        return tuple(Sign(phrase, frozenset(found)) for phrase, found in forms.items())


def _phrase(text: str) -> Stems:
    return tuple(_stem(word) for word in words(text) if word not in SKIPPED)


def _runs(text: str, longest: int) -> dict[Stems, tuple[str, frozenset[int]]]:
    """Runs of at most `longest` words of a text: stems -> words and where they stand."""
    content = [word for word in words(text) if word not in SKIPPED]
    return {
        tuple(_stem(word) for word in content[start:end]): (
            " ".join(content[start:end]),
            frozenset(range(start, end)),
        )
        for start in range(len(content))
        for end in range(start + 1, min(start + longest, len(content)) + 1)
    }
