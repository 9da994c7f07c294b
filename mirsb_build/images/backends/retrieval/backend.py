"""The image backend `retrieval`: each spec gets the best picture of the user's collection that is still free."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Collection, Sequence

from anyio import to_thread

from mirsb_build.errors import MirsbError, ModelError
from mirsb_build.images.backends.retrieval.collections.base import Corpus
from mirsb_build.images.backends.retrieval.collections.opening import open_corpus
from mirsb_build.images.backends.retrieval.index import VERSION, Index
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.requirements import check_packages, examine
from mirsb_build.images.context import BackendContext
from mirsb_build.images.normalise import Unusable, decode_to_srgb, fit_to_size
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import ImageSource, ImageSpec, checksum, content_hash
from mirsb_build.runtime.dependencies import Requirement
from mirsb_build.similarity.embedder import Embedder


class Retrieval(ImageBackend):
    """Pictures of a collection. Opening it lists the collection; no pixel is read and no model is loaded before use.

    Raises BadFile for a collection that cannot be used, ModelError for a package or an embedder that is missing.
    """

    Options = Options
    has_stock = True

    def __init__(self, options: Options, context: BackendContext, corpus: Corpus | None = None) -> None:
        """Open the collection that the options name, or use `corpus`."""
        check_packages(options)
        self._options = options
        self._corpus = corpus or open_corpus(options)
        embedder = Embedder(options.embedder) if options.embedder else None
        self._index = Index(self._corpus, embedder, options, context)
        self._label = self._corpus.name.rstrip("/").rsplit("/", 1)[-1]
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

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[str]:
        """The picture that is best for each spec among the least used ones that fit; empty where nothing fits.

        The first call for a collection checks and embeds it.
        """
        with self._lock:
            return list(self._index.choose(specs, used).sources)

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One picture after the other, in the collection's order, in which its files are read fastest."""
        places = (await to_thread.run_sync(self._places)) if specs else {}
        for spec in sorted(specs, key=lambda s: places.get(s.source, -1)):
            yield await to_thread.run_sync(self.draw, spec)

    @classmethod
    def examine(cls, options: Options) -> list[Requirement]:
        """Look for all that the options need; reads no pixels."""
        return examine(options)

    def _places(self) -> dict[str, int]:
        with self._lock:
            return self._index.by_id

    def draw(self, spec: ImageSpec) -> RenderedImage:
        """Read the picture that was allotted to a spec, or say why there is none."""
        began = time.monotonic()
        if not spec.source:
            return RenderedImage(spec, None, f"nothing in corpus {self._label} fits {', '.join(spec.keywords)!r}")
        place = self._places().get(spec.source)
        if place is None:
            return RenderedImage(spec, None, f"corpus {self._label} has no picture {spec.source} that may be used")
        picture = self._index.pictures[place]
        try:
            data = self._corpus.read(picture.place)
            pixels = fit_to_size(
                decode_to_srgb(data, self._options.most_pixels), (spec.width, spec.height), self._options.fit
            )
        except Unusable as error:
            problem = f"picture {spec.source} of corpus {self._label} {error}"
            return RenderedImage(spec, None, problem, seconds=time.monotonic() - began)
        except (MirsbError, OSError) as error:  # a network's hiccup, say: no verdict on the picture
            reason = " ".join(str(error).split())
            raise ModelError(f"picture {spec.source} cannot be read: {reason}; run the same command again") from error
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
