"""The image backend `retrieval`: each spec gets the best picture of the user's collection that is still free."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Collection, Sequence
from typing import Any

from anyio import to_thread

from mirsb_build.errors import MirsbError, ModelError
from mirsb_build.images.backends.retrieval.collections.base import open_corpus
from mirsb_build.images.backends.retrieval.examining import examine
from mirsb_build.images.backends.retrieval.index import VERSION, Index
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.packages import check_packages
from mirsb_build.images.context import Tools
from mirsb_build.images.normalise import Unusable, fitted, plain
from mirsb_build.ports import RenderedImage
from mirsb_build.records import ImageSource, ImageSpec, checksum, content_hash
from mirsb_build.similarity.embedder import Embedder


class Retrieval:
    """Pictures of a collection. Opening it lists the collection; no pixel is read and no model is loaded before use.

    Raises BadFile for a collection that cannot be used, ModelError for a package or an embedder that is missing.
    """

    Options = Options
    layouts: frozenset[str] = frozenset()
    """It composes none and takes any."""

    def __init__(self, options: Options, tools: Tools) -> None:
        check_packages(options)
        self._options = options
        self._corpus = open_corpus(options)
        embedder = Embedder(options.embedder) if options.embedder else None
        self._index = Index(self._corpus, embedder, options, tools)
        self._named = self._corpus.name.rstrip("/").rsplit("/", 1)[-1]
        """The collection as records call it: they hold no path of a machine."""
        self._lock = threading.Lock()
        self.identity: str = (
            f"retrieval-{VERSION}/"
            + content_hash(
                self._corpus.fingerprint,
                embedder.identity if embedder else None,
                options.model_dump(exclude={"corpus", "embedder"}),
            )[:16]
        )

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[ImageSpec]:
        """The specs, each with the picture that is best for it among the least used ones that fit.

        `source` stays empty where nothing fits. The first call for a collection checks and embeds it.
        """
        with self._lock:
            chosen = self._index.choose(specs, used)
        return [_with_source(spec, source) for spec, source in zip(specs, chosen.sources, strict=True)]

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One picture after the other, in the collection's order, in which its files are read fastest."""
        places = (await to_thread.run_sync(self._places)) if specs else {}
        for spec in sorted(specs, key=lambda s: places.get(s.source, -1)):
            yield await to_thread.run_sync(self.draw, spec)

    async def close(self) -> None:
        """Nothing is held."""

    @classmethod
    def examine(cls, options: Options) -> list[tuple[str, bool, str]]:
        """What is there of all that the options need, as (name, whether it is, detail); reads no pixels."""
        return examine(options)

    def _places(self) -> dict[str, int]:
        with self._lock:
            return self._index.by_id

    def draw(self, spec: ImageSpec) -> RenderedImage:
        """The picture that was allotted to a spec, or why there is none."""
        began = time.monotonic()
        if not spec.source:
            return RenderedImage(spec, None, f"nothing in corpus {self._named} fits {', '.join(spec.keywords)!r}")
        place = self._places().get(spec.source)
        if place is None:
            return RenderedImage(spec, None, f"corpus {self._named} has no picture {spec.source} that may be used")
        picture = self._index.pictures[place]
        try:
            data = self._corpus.read(picture.place)
            pixels = fitted(plain(data, self._options.most_pixels), (spec.width, spec.height), self._options.fit)
        except Unusable as error:
            problem = f"picture {spec.source} of corpus {self._named} {error}"
            return RenderedImage(spec, None, problem, seconds=time.monotonic() - began)
        except (MirsbError, OSError) as error:  # a network's hiccup, say: no verdict on the picture
            said = " ".join(str(error).split())
            raise ModelError(f"picture {spec.source} cannot be read: {said}; run the same command again") from error
        row = picture.row
        source = ImageSource(
            title=row.caption,
            file=row.id,
            sha256=checksum(data),
            licence=row.licence,
            author=row.author,
            url=row.url,
        )
        return RenderedImage(spec, pixels, sources=(source,), seconds=time.monotonic() - began)


def _with_source(spec: ImageSpec, source: str) -> ImageSpec:
    values: dict[str, Any] = {**spec.model_dump(exclude={"id"}), "source": source}
    return ImageSpec(**values)
