"""What a collection says of its pictures: a table, its columns found by their usual names."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mirsb_build.errors import BadFile
from mirsb_build.images.backends.retrieval.options import Columns
from mirsb_build.records import Record

SPELLINGS = {
    "image": ("image", "file_name", "filename", "file", "path"),
    "caption": ("caption", "text", "title", "description"),
    "licence": ("licence", "license"),
    "author": ("author", "creator", "artist", "photographer"),
    "url": ("url", "source_url", "source", "page_url"),
}
"""Usual names of our columns, in any case, the first that is there."""
NOTHING = frozenset({"", "-", "?", "n/a", "na", "nan", "none", "null", "unknown"})
"""What people write where they have nothing to say."""


class Row(Record):
    """One picture as the collection's table has it; what the table does not say is empty."""

    id: str
    """Unique within the collection: the file's path, or the table's file and row."""
    caption: str = ""
    licence: str = ""
    author: str = ""
    url: str = ""
    flaw: str = ""
    """Why there can be no file, as far as the table tells."""


@dataclass(frozen=True)
class Table:
    """Columns by name, all of one length; `lines` where the table is a text."""

    columns: dict[str, list[Any]]
    lines: tuple[int, ...] = ()

    def rows(self, ids: Sequence[str], named: Columns, flaws: Sequence[str] = ()) -> list[Row]:
        """Make one row an id, of the columns that `named` names."""
        values = [[_text(v) for v in self.columns[c]] for c in (named.caption, named.licence, named.author, named.url)]
        return [
            Row(id=id, caption=caption, licence=licence, author=author, url=url, flaw=flaw)
            for id, caption, licence, author, url, flaw in zip(ids, *values, flaws or [""] * len(ids), strict=True)
        ]


def _text(value: object) -> str:
    """A cell as one line of text; of several captions the first."""
    if isinstance(value, (list, tuple)):
        several = cast(Sequence[object], value)
        value = several[0] if several else None
    text = "" if value is None else " ".join(str(value).split())
    return "" if text.lower() in NOTHING else text


def find_columns(file: object, there: Sequence[str], wanted: Columns) -> Columns:
    """Find the names of the table's own columns for all of ours; raises BadFile for one that is not there."""
    found = {ours: _find(file, there, ours, getattr(wanted, ours)) for ours in SPELLINGS}
    return Columns(**found)


def _find(file: object, there: Sequence[str], ours: str, wanted: str) -> str:
    if wanted:
        if wanted in there:
            return wanted
        near = difflib.get_close_matches(wanted, there, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(there)}"
        raise BadFile(file, f"has no column {wanted!r}; {hint} (images.options.columns.{ours})")
    lower = {name.strip().lower(): name for name in reversed(there)}
    for spelling in SPELLINGS[ours]:
        if spelling in lower:
            return lower[spelling]
    near = next((n for s in SPELLINGS[ours] for n in difflib.get_close_matches(s, lower, n=1, cutoff=0.75)), None)
    way_out = (
        f"rename {lower[near]!r} to {SPELLINGS[ours][0]!r}" if near else f"add it (it has {', '.join(there) or 'none'})"
    )
    raise BadFile(file, f"has no column {ours!r}; {way_out}, or name yours with images.options.columns.{ours}")


def read_csv(file: object, data: bytes) -> Table:
    """Read a table of comma-separated values with a header; raises BadFile with the line."""
    reader = csv.reader(io.StringIO(_utf8(file, data), newline=""), strict=True)
    columns: dict[str, list[Any]] = {}
    lines: list[int] = []
    try:
        header = next(reader, list[str]())
        columns = {name: [] for name in header}
        if len(columns) != len(header):
            raise BadFile(file, "has two columns of one name; rename one", 1)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                what = f"has {len(cells)} values for {len(header)} columns; put values with commas in quotes"
                raise BadFile(file, what, reader.line_num)
            for name, cell in zip(header, cells, strict=True):
                columns[name].append(cell)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise BadFile(file, f"is not CSV: {error}", reader.line_num) from error
    return Table(columns, tuple(lines))


def read_jsonl(file: object, data: bytes) -> Table:
    """Read a table of one JSON object a line; raises BadFile with the line."""
    objects: list[dict[str, Any]] = []
    lines: list[int] = []
    for number, line in enumerate(_utf8(file, data).splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as error:
            raise BadFile(file, f"is not JSON: {error}", number) from error
        if not isinstance(value, dict):
            raise BadFile(file, "must hold one JSON object a line", number)
        objects.append(cast("dict[str, Any]", value))
        lines.append(number)
    names = dict.fromkeys(name for one in objects for name in one)
    return Table({name: [one.get(name) for one in objects] for name in names}, tuple(lines))


def _utf8(file: object, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadFile(file, "is not UTF-8; save it as UTF-8", line) from error
