"""The index of a collection: its usable pictures, their embeddings and earlier choices, kept in the store.

    cache/corpora/<fingerprint>/pictures.json       the pictures that may be used
    cache/corpora/<fingerprint>/vectors-<hash>      their captions' embeddings, float16
    cache/corpora/<fingerprint>/choice-<hash>.json  what was chosen for the specs of a pass

Each file opens with the checksum of what follows; a damaged one is made again.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import numpy as np
from pydantic import ValidationError

from mirsb_build.images.backends.retrieval.collections.base import Corpus
from mirsb_build.images.backends.retrieval.languages import count_other_languages
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.ranking import Dense, Lexical, Places, Ranking, query_text
from mirsb_build.images.backends.retrieval.screening import ScreenedCollection, UsablePicture, screen_pictures
from mirsb_build.images.backends.retrieval.usage import PictureUsage
from mirsb_build.images.context import BackendContext
from mirsb_build.records import ImageSpec, Record, checksum, content_hash
from mirsb_build.runtime.progress import log
from mirsb_build.similarity.embedder import PACKAGED, Embedder, Vectors

VERSION = "1"
"""Changes when other pictures would be let through, or chosen."""


class StoredChoice(Record):
    """Pictures for the specs of a pass, in order; empty where nothing fits."""

    sources: tuple[str, ...]


class Index:
    """A collection's usable pictures, looked up by word and by meaning; not for several threads at once."""

    def __init__(self, corpus: Corpus, embedder: Embedder | None, options: Options, context: BackendContext) -> None:
        self._corpus = corpus
        self._embedder = embedder
        self._options = options
        self._policy = context.policy
        self._files = context.store.files
        self.fingerprint = content_hash(
            VERSION, corpus.fingerprint, options.columns.model_dump(), options.most_pixels, context.policy.hash
        )

    @cached_property
    def pictures(self) -> tuple[UsablePicture, ...]:
        """The pictures that may be used; every file is decoded where the store has no list of them yet."""
        if stored := self._load("pictures.json"):
            try:
                return ScreenedCollection.model_validate_json(stored).pictures
            except ValidationError:  # of another version of ours
                pass
        screened = screen_pictures(self._corpus, self._options, self._policy)
        self._log_languages([picture.row.caption for picture in screened.pictures])
        self._save("pictures.json", screened.model_dump_json().encode())
        return screened.pictures

    @cached_property
    def by_id(self) -> dict[str, int]:
        """Places in `pictures` by the pictures' ids."""
        return {picture.row.id: place for place, picture in enumerate(self.pictures)}

    def choose(self, specs: Sequence[ImageSpec], used: Collection[str]) -> StoredChoice:
        """Choose a picture for each spec; the same specs are not looked up twice in a store."""
        known_as = self._embedder.identity if self._embedder else ""
        name = f"choice-{content_hash(known_as, [s.id for s in specs], sorted(used))[:16]}.json"
        if stored := self._load(name):
            return StoredChoice.model_validate_json(stored)
        usage = PictureUsage(
            [picture.sha256 for picture in self.pictures],
            [self.by_id[source] for source in used if source in self.by_id],
        )
        places = [usage.take(s.candidate, fits) for s, fits in zip(specs, self._fitting(specs), strict=True)]
        choice = StoredChoice(sources=tuple("" if place is None else self.pictures[place].row.id for place in places))
        self._save(name, choice.model_dump_json().encode())
        return choice

    def _fitting(self, specs: Sequence[ImageSpec]) -> Iterator[Places]:
        """What fits each spec; all of them are embedded in one go."""
        queries = None
        if self._embedder:
            texts = [query_text(spec) for spec in specs]
            distinct = list(dict.fromkeys(texts))
            number = {text: place for place, text in enumerate(distinct)}
            queries = self._embedder.embed(distinct)[[number[text] for text in texts]] if texts else None
        return self._ranking.fitting(specs, queries)

    @cached_property
    def _ranking(self) -> Ranking:
        lexical = Lexical([picture.row.caption for picture in self.pictures])
        return Ranking(lexical, Dense(self._vectors(), self._embedder.floor) if self._embedder else None)

    def _vectors(self) -> Vectors:
        assert self._embedder
        captions = [picture.row.caption for picture in self.pictures]
        name = f"vectors-{content_hash(self._embedder.identity, captions)[:16]}"
        if stored := self._load(name):
            return np.load(io.BytesIO(stored), allow_pickle=False).astype(np.float32)
        log.info("corpus %s: embedding %d captions, once for this store", self._corpus.name, len(captions))
        vectors = self._embedder.embed(captions)
        buffer = io.BytesIO()
        np.save(buffer, vectors.astype(np.float16), allow_pickle=False)
        self._save(name, buffer.getvalue())
        return vectors

    def _log_languages(self, captions: Sequence[str]) -> None:
        if self._options.embedder == PACKAGED and (others := count_other_languages(captions)):
            log.info(
                "corpus %s: at least %d of %d captions are not in English, which the embedder %s does not know; "
                "name a multilingual one with images.options.embedder",
                *(self._corpus.name, others, len(captions), PACKAGED),
            )

    def _path(self, name: str) -> str:
        return f"cache/corpora/{self.fingerprint[:32]}/{name}"

    def _load(self, name: str) -> bytes | None:
        """Read what the store has under a name; None where it is not whole."""
        sum, _, body = (self._files.read(self._path(name)) or b"").partition(b"\n")
        return body if body and checksum(body).encode() == sum else None

    def _save(self, name: str, body: bytes) -> None:
        self._files.write(self._path(name), checksum(body).encode() + b"\n" + body)
