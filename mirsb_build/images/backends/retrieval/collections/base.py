"""A picture collection wherever it lies: what its table says, and the bytes of one picture.

a folder with metadata.csv, .jsonl or .parquet    folder.py
a parquet file or glob with the pictures in it    parquet.py
a data set, saved or of the Hub                   dataset.py
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, cast

import fsspec

from mirsb_build.errors import BadFile
from mirsb_build.images.backends.retrieval.collections.table import Row
from mirsb_build.images.backends.retrieval.options import Options

HUB = "hub:"
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


def open_corpus(options: Options) -> Corpus:
    """The collection that a profile names; raises BadFile for one that is not there or has no table."""
    name = options.corpus
    if name.startswith(HUB):
        from mirsb_build.images.backends.retrieval.collections.hf_dataset import hub_dataset

        return hub_dataset(options)
    fs, root = locate(name)
    if name.endswith(".parquet") or any(sign in name for sign in "*?["):
        from mirsb_build.images.backends.retrieval.collections.parquet import ParquetFiles

        return ParquetFiles(options, fs, root)
    listing = list_files(name, fs, root)
    if listing.keys() & {"state.json", "dataset_dict.json"}:
        from mirsb_build.images.backends.retrieval.collections.hf_dataset import saved_dataset

        return saved_dataset(options, listing)
    from mirsb_build.images.backends.retrieval.collections.image_folder import Folder

    return Folder(options, fs, root, listing)


def locate(name: str) -> tuple[Any, str]:
    """The file system of a path or URL, and the path on it without a slash at its end."""
    try:
        fs, root = cast("tuple[Any, str]", fsspec.core.url_to_fs(name))
    except (ImportError, ValueError) as error:
        raise BadFile(name, f"{error}; give images.options.corpus a path or an fsspec URL that is installed") from error
    return fs, root.rstrip("/")


def list_files(name: str, fs: Any, root: str) -> dict[str, str]:
    """The files below a folder and what changes with each of them: path below the folder -> size and stamp."""
    try:
        found = cast("Mapping[str, dict[str, Any]]", fs.find(root, detail=True))
    except Exception as error:  # object stores raise what their client libraries raise
        raise BadFile(name, f"cannot be listed: {_line(error)}; check the name and your rights to read it") from error
    files = {path.removeprefix(root).lstrip("/"): stamp(info) for path, info in sorted(found.items())}
    if not files:
        raise BadFile(name, "is not there or empty; give images.options.corpus the folder of your pictures")
    return files


def stamp(info: Mapping[str, Any]) -> str:
    """Size of a file and what changes when it is written again."""
    changed = next((info[key] for key in STAMPS if info.get(key)), "")
    return f"{info.get('size')} {changed}"


def read_bytes(name: str, fs: Any, path: str) -> bytes:
    """A file of a collection; raises BadFile."""
    try:
        return cast(bytes, fs.cat_file(path))
    except Exception as error:
        raise BadFile(name, f"cannot be read: {_line(error)}") from error


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
