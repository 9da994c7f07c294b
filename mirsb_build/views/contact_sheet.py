"""A contact sheet: many small pictures with their captions on one page, those that belong together side by side."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont, ImageOps

from mirsb_build.similarity.pixels import to_rgb

SIDE = 240
"""Pixels of a picture on the sheet, at most."""
COLUMNS = 4
"""Pictures beside one another, unless more belong together."""
GAP = 12
GROUP_GAP = 28
"""Between pictures that do not belong together."""
MARGIN = 32
LINES = 4
"""Of a caption, at most."""
TITLE, LABEL, TEXT = 24, 14, 13
"""Sizes of letters, in pixels."""
LEADING = 1.35

PAPER, INK, FAINT, GREY = "#ffffff", "#1c2430", "#667085", "#e4e7ec"


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet, or the reason why there is none."""

    picture: bytes | None
    caption: str
    group: str
    """What it belongs to; neighbours of one group stand together under its name."""
    problem: str = ""


@dataclass(frozen=True)
class Block:
    """Tiles that stand together."""

    group: str
    tiles: tuple[Tile, ...]

    @property
    def width(self) -> int:
        return len(self.tiles) * SIDE + (len(self.tiles) - 1) * GAP


def draw_sheet(title: str, subtitle: str, tiles: Sequence[Tile]) -> bytes:
    """Draw the sheet as a PNG; the same tiles give the same bytes."""
    blocks = [Block(group, tuple(some)) for group, some in groupby(tiles, key=lambda tile: tile.group)]
    rows = _group_rows(blocks)
    widest = max((_row_width(row) for row in rows), default=0)
    pen = ImageDraw.Draw(PillowImage.new("RGB", (1, 1)))
    width = 2 * MARGIN + max(widest, COLUMNS // 2 * SIDE)
    heights = [_row_height(pen, row) for row in rows]
    title_lines = _wrap(pen, title, TITLE, width - 2 * MARGIN, 2)
    subtitle_lines = _wrap(pen, subtitle, LABEL, width - 2 * MARGIN, 3)
    top = MARGIN + _leading(TITLE) * len(title_lines) + _leading(LABEL) * len(subtitle_lines) + GROUP_GAP
    page = PillowImage.new("RGB", (width, top + sum(heights) + GROUP_GAP * max(0, len(rows) - 1) + MARGIN), PAPER)
    pen = ImageDraw.Draw(page)
    below = _write(pen, (MARGIN, MARGIN), title_lines, TITLE, INK)
    _write(pen, (MARGIN, below), subtitle_lines, LABEL, FAINT)
    for row, height in zip(rows, heights, strict=True):
        left = MARGIN
        for block in row:
            _draw_block(page, pen, block, (left, top))
            left += block.width + GROUP_GAP
        top += height + GROUP_GAP
    buffer = io.BytesIO()
    page.save(buffer, format="PNG")
    return buffer.getvalue()


def _group_rows(blocks: Sequence[Block]) -> list[list[Block]]:
    """Group blocks in order, as many in a row as the columns take."""
    rows: list[list[Block]] = []
    for block in blocks:
        if rows and sum(len(b.tiles) for b in rows[-1]) + len(block.tiles) <= COLUMNS:
            rows[-1].append(block)
        else:
            rows.append([block])
    return rows


def _row_width(row: Sequence[Block]) -> int:
    return sum(block.width for block in row) + GROUP_GAP * (len(row) - 1)


def _row_height(pen: ImageDraw.ImageDraw, row: Sequence[Block]) -> int:
    captions = max(len(_wrap(pen, tile.caption, TEXT, SIDE, LINES)) for block in row for tile in block.tiles)
    return _leading(LABEL) + GAP // 2 + SIDE + GAP // 2 + captions * _leading(TEXT)


def _draw_block(page: PillowImage.Image, pen: ImageDraw.ImageDraw, block: Block, at: tuple[int, int]) -> None:
    left, top = at
    _write(pen, at, _wrap(pen, block.group, LABEL, block.width, 1), LABEL, FAINT)
    top += _leading(LABEL) + GAP // 2
    for tile in block.tiles:
        small = _fit(tile)
        pen.rectangle((left, top, left + SIDE - 1, top + SIDE - 1), fill=GREY)
        if small is None:
            lines = _wrap(pen, tile.problem or "no picture", TEXT, SIDE - 2 * GAP, SIDE // _leading(TEXT) - 2)
            _write(pen, (left + GAP, top + (SIDE - len(lines) * _leading(TEXT)) // 2), lines, TEXT, FAINT)
        else:
            page.paste(small, (left + (SIDE - small.width) // 2, top + (SIDE - small.height) // 2))
        _write(pen, (left, top + SIDE + GAP // 2), _wrap(pen, tile.caption, TEXT, SIDE, LINES), TEXT, INK)
        left += SIDE + GAP


def _fit(tile: Tile) -> PillowImage.Image | None:
    """Fit the picture of a tile into its square; None where there is none."""
    if tile.picture is None:
        return None
    with PillowImage.open(io.BytesIO(tile.picture)) as picture:
        return ImageOps.contain(to_rgb(picture), (SIDE, SIDE), PillowImage.Resampling.LANCZOS)


def _wrap(pen: ImageDraw.ImageDraw, text: str, size: int, width: int, most: int) -> list[str]:
    """Break the text into lines of at most that width; what does not fit into `most` lines ends in an ellipsis."""
    lines = [""]
    for word in _strip_accents(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _text_width(pen, longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    if len(lines) > most:
        lines = [*lines[: most - 1], f"{lines[most - 1]} ..."]
    return [_cut(pen, line, size, width) for line in lines if line]


def _strip_accents(text: str) -> str:
    """Return the text without accents and long dashes, which the built-in font has no letters for."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.replace("\u2013", "-").replace("\u2014", "-")


def _cut(pen: ImageDraw.ImageDraw, line: str, size: int, width: int) -> str:
    """Cut a line that is too wide, because of one long word or of the ellipsis."""
    bare = line.removesuffix(" ...")
    while bare and _text_width(pen, line, size) > width:
        bare = bare[:-1].rstrip()
        line = f"{bare} ..."
    return line


def _write(pen: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[str], size: int, colour: str) -> int:
    """Write lines below one another; returns where the next one would stand."""
    left, top = at
    for line in lines:
        pen.text((left, top), line, fill=colour, font=ImageFont.load_default(size))
        top += _leading(size)
    return top


def _text_width(pen: ImageDraw.ImageDraw, text: str, size: int) -> float:
    return pen.textlength(text, font=ImageFont.load_default(size))


def _leading(size: int) -> int:
    return round(size * LEADING)
