"""Parquet files that hold the pictures themselves, as the Hub keeps its data sets."""

from __future__ import annotations

import io
import posixpath
import threading
from functools import lru_cache
from typing import Any, cast

import numpy as np

from mirsb_build.errors import BadFile
from mirsb_build.images.backends.retrieval.collections.base import stamp
from mirsb_build.images.backends.retrieval.collections.table import Row, Table, find_columns
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.records import content_hash

GROUPS_KEPT = 2
"""Row groups whose pictures stay in memory: readers in threads are never further apart than neighbours."""


def read_parquet(file: object, data: bytes) -> Table:
    """Read a small table; raises BadFile."""
    return Table(_open(file, io.BytesIO(data)).read().to_pydict())


class ParquetFiles:
    """The rows of all files that a path or glob names, in the order of their names."""

    def __init__(self, options: Options, fs: Any, pattern: str) -> None:
        self.name = options.corpus
        self._fs = fs
        try:
            infos = cast("dict[str, dict[str, Any]]", fs.glob(pattern, detail=True))
        except Exception as error:
            raise BadFile(self.name, f"cannot be listed: {error}; check the name and your rights to read it") from error
        self._paths = sorted(path for path, info in infos.items() if info.get("type") != "directory")
        if not self._paths:
            raise BadFile(
                self.name, "is not there; give images.options.corpus a parquet file or a glob such as d/*.parquet"
            )
        top = posixpath.commonpath([posixpath.dirname(path) for path in self._paths])
        self._names = [posixpath.relpath(path, top or ".") for path in self._paths]
        stamps = [stamp(infos[path]) for path in self._paths]
        self._files = [_open(path, fs.open(path)) for path in self._paths]
        self._named = [find_columns(p, f.schema_arrow.names, options.columns) for p, f in self._each()]
        for path, file, named in zip(self._paths, self._files, self._named, strict=True):
            _check_kind(path, file, named.image)
        starts = [(f, g) for f, file in enumerate(self._files) for g in range(file.metadata.num_row_groups)]
        counts = [self._files[f].metadata.row_group(g).num_rows for f, g in starts]
        self._groups = starts
        self._ends = np.cumsum(counts)
        self._lock = threading.Lock()
        self._pictures = lru_cache(GROUPS_KEPT)(self._group)
        self.fingerprint = content_hash("parquet", self._names, stamps, int(sum(counts)))

    def _each(self) -> list[tuple[str, Any]]:
        return list(zip(self._paths, self._files, strict=True))

    def rows(self) -> list[Row]:
        rows: list[Row] = []
        for name, path, file, named in zip(self._names, self._paths, self._files, self._named, strict=True):
            with self._lock:
                columns = _guard(path, lambda f=file, n=named: f.read([n.caption, n.licence, n.author, n.url]))
            ids = [f"{name}#{number}" for number in range(1, columns.num_rows + 1)]
            rows += Table(columns.to_pydict()).rows(ids, named)
        return rows

    def read(self, place: int) -> bytes:
        group = int(np.searchsorted(self._ends, place, side="right"))
        start = int(self._ends[group - 1]) if group else 0
        with self._lock:  # a parquet file is read by one thread at a time
            value = self._pictures(group)[place - start].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not data:
            raise BadFile(self.name, "this row holds no bytes")
        return cast(bytes, data)

    def _group(self, number: int) -> Any:
        """The pictures of one row group."""
        file, group = self._groups[number]
        column = self._named[file].image
        return _guard(self._paths[file], lambda: self._files[file].read_row_group(group, columns=[column]).column(0))


def _open(file: object, source: Any) -> Any:
    import pyarrow.parquet as pq

    return _guard(file, lambda: pq.ParquetFile(source))


def _guard(file: object, read: Any) -> Any:
    """What `read` returns; raises BadFile where it fails."""
    try:
        return read()
    except (ValueError, OSError, RuntimeError) as error:  # what Arrow's own errors are
        raise BadFile(file, f"is no whole parquet file: {str(error).splitlines()[0]}; write it again") from error


def _check_kind(path: str, file: Any, column: str) -> None:
    """The pictures must be in the file: names of files lead nowhere from there."""
    import pyarrow as pa

    kind: Any = file.schema_arrow.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        way_out = "it must hold the picture's bytes, bare or as {bytes, path}; for file names use a folder"
        raise BadFile(path, f"column {column!r} is of type {kind}; {way_out}")
