"""What every picture collection offers, and how files of one are listed and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import fsspec

from mirsb_build.errors import BadFile
from mirsb_build.images.backends.retrieval.collections.table import Row

STAMPS = ("etag", "ETag", "mtime", "LastModified", "last_modified", "created")
"""What file systems call the thing that changes with a file."""


class Corpus(Protocol):
    """A collection. Opening it reads no pixels; messages call it by its `name`."""

    name: str
    fingerprint: str
    """Changes when a picture or the table does; does not change with the place where the collection lies."""

    def rows(self) -> list[Row]:
        """All rows of the table, in its order; raises BadFile."""
        ...

    def read(self, place: int) -> bytes:
        """The file of the picture in that row (from 0), from any thread; raises BadFile or OSError."""
        ...


def locate(name: str) -> tuple[Any, str]:
    """Find the file system of a path or URL, and the path on it without a slash at its end."""
    try:
        fs, root = cast("tuple[Any, str]", fsspec.core.url_to_fs(name))
    except (ImportError, ValueError) as error:
        raise BadFile(name, f"{error}; give images.options.corpus a path or an fsspec URL that is installed") from error
    return fs, root.rstrip("/")


def list_files(name: str, fs: Any, root: str) -> dict[str, str]:
    """List the files below a folder and what changes with each of them: path below the folder -> size and stamp."""
    try:
        found = cast("Mapping[str, dict[str, Any]]", fs.find(root, detail=True))
    except Exception as error:  # object stores raise what their client libraries raise
        raise BadFile(
            name, f"cannot be listed: {first_line(error)}; check the name and your rights to read it"
        ) from error
    files = {path.removeprefix(root).lstrip("/"): stamp(info) for path, info in sorted(found.items())}
    if not files:
        raise BadFile(name, "is not there or empty; give images.options.corpus the folder of your pictures")
    return files


def stamp(info: Mapping[str, Any]) -> str:
    """Size of a file and what changes when it is written again."""
    changed = next((info[key] for key in STAMPS if info.get(key)), "")
    return f"{info.get('size')} {changed}"


def read_bytes(name: str, fs: Any, path: str) -> bytes:
    """Read a file of a collection; raises BadFile."""
    try:
        return cast(bytes, fs.cat_file(path))
    except Exception as error:
        raise BadFile(name, f"cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    """The first line of what a library says went wrong."""
    return (str(error) or type(error).__name__).splitlines()[0]
