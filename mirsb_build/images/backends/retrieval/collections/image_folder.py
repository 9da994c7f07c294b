"""A folder of picture files beside a table of them, as `datasets` calls an image folder."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import Any

from mirsb_build.errors import BadFile
from mirsb_build.images.backends.retrieval.collections.base import read_bytes
from mirsb_build.images.backends.retrieval.collections.parquet import read_parquet
from mirsb_build.images.backends.retrieval.collections.table import Row, find_columns, read_csv, read_jsonl
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.records import checksum, content_hash

TABLES = {"metadata.csv": read_csv, "metadata.jsonl": read_jsonl, "metadata.parquet": read_parquet}


class ImageFolder:
    """Pictures named by `file_name` in the table at the folder's root."""

    def __init__(self, options: Options, fs: Any, root: str, listing: Mapping[str, str]) -> None:
        self.name = options.corpus
        self._fs = fs
        self._root = root
        tables = [name for name in TABLES if name in listing]
        if len(tables) != 1:
            others = any(name.endswith(".parquet") for name in listing)
            hint = f"; for its parquet files give {self.name.rstrip('/')}/*.parquet" if others else ""
            several = f"has {' and '.join(tables)}; keep one of them"
            none = f"has no metadata.csv, metadata.jsonl or metadata.parquet that says what its pictures show{hint}"
            raise BadFile(self.name, several if tables else none)
        file = f"{self.name.rstrip('/')}/{tables[0]}"
        data = read_bytes(file, fs, f"{root}/{tables[0]}")
        self._rows = _read_rows(file, tables[0], data, options, listing)
        stamps = [(row.id, listing.get(row.id, "")) for row in self._rows]
        self.fingerprint = content_hash("folder", checksum(data), stamps)

    def rows(self) -> list[Row]:
        return self._rows

    def read(self, place: int) -> bytes:
        row = self._rows[place]
        return read_bytes(f"{self.name.rstrip('/')}/{row.id}", self._fs, f"{self._root}/{row.id}")


def _read_rows(file: str, table_name: str, data: bytes, options: Options, listing: Mapping[str, str]) -> list[Row]:
    table = TABLES[table_name](file, data)
    named = find_columns(file, list(table.columns), options.columns)
    ids = [posixpath.normpath(str(value or "").strip()) for value in table.columns[named.image]]
    seen: dict[str, int] = {}
    for place, id in enumerate(ids):
        if id in seen:
            line = table.lines[place] if table.lines else None
            before = f"line {table.lines[seen[id]]}" if table.lines else f"row {seen[id] + 1}"
            raise BadFile(file, f"names {id!r} a second time, after {before}; take one of the two out", line)
        seen[id] = place
    return table.rows(ids, named, [_flaw(id, listing) for id in ids])


def _flaw(id: str, listing: Mapping[str, str]) -> str:
    """Why a file name leads to no file of the folder."""
    if id.startswith(("/", "..")) or "\\" in id or ":" in id.split("/", maxsplit=1)[0]:
        return "outside the folder"
    return "" if id in listing else "not there"
