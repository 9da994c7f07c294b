"""Bytes at paths below one fsspec URL: atomic writes, and errors in our own words."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, TypeVar, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from mirsb_build.errors import StoreError

T = TypeVar("T")


class Files:
    """Files below a root. A write is seen whole or not at all, also when the process is killed in the middle.

    Object stores put whole objects; a local file is written beside its place and renamed into it.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.fs, root = cast(tuple[Any, str], fsspec.core.url_to_fs(url))
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"store {url}: {error}; give --store a folder or an fsspec URL that is installed"
            ) from error
        self.root = root.rstrip("/")
        self.local = isinstance(self.fs, LocalFileSystem)

    def path(self, relative: str) -> str:
        return f"{self.root}/{relative}"

    def exists(self, relative: str) -> bool:
        return self._guard("read", relative, lambda: bool(self.fs.exists(self.path(relative))))

    def read(self, relative: str) -> bytes | None:
        """The bytes, or None if there is no such file."""
        try:
            if self.local:  # half the cost of fsspec's own path on small files
                return Path(self.path(relative)).read_bytes()
            return self.fs.cat_file(self.path(relative))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._blame("read", relative, error) from error

    def open(self, relative: str) -> BufferedReader:
        """The file, to be read in parts; raises FileNotFoundError where there is none."""
        try:
            return cast(BufferedReader, self.fs.open(self.path(relative), "rb"))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise self._blame("read", relative, error) from error

    def checksum(self, relative: str) -> str | None:
        """SHA-256 of a file, read in parts; None if there is no such file."""
        try:
            with self.open(relative) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._blame("read", relative, error) from error

    def write(self, relative: str, data: bytes) -> None:
        """Write the file as a whole, in place of what was there."""
        self._guard("write", relative, lambda: self._write(self.path(relative), data))

    def put(self, relative: str, file: Path) -> None:
        """Copy a local file here in parts, as a whole, in place of what was there."""
        self._guard("write", relative, lambda: self._put(self.path(relative), file))

    def delete(self, relative: str) -> None:
        """Remove a file or a folder; no matter if it is not there."""
        if self.exists(relative):
            self._guard("delete", relative, lambda: self.fs.rm(self.path(relative), recursive=True))

    def names(self, relative: str) -> list[str]:
        """Names right below a folder, sorted; none if there is no such folder. Unfinished writes do not show."""
        try:
            found: list[Any] = self.fs.ls(self.path(relative), detail=False)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._blame("list", relative, error) from error
        names = (str(p).rstrip("/").rsplit("/", 1)[-1] for p in found)
        return sorted(n for n in names if not n.startswith("."))

    def size(self, relative: str) -> int | None:
        """Length of a file in bytes; None if there is no such file."""
        path = self.path(relative)
        try:
            if self.local:
                return Path(path).stat().st_size
            self.fs.invalidate_cache(path.rsplit("/", 1)[0])  # another process may have written it since it was listed
            return int(self.fs.info(path)["size"])
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._blame("read", relative, error) from error

    def sizes(self, relative: str) -> Iterator[tuple[str, int]]:
        """Name and length of every file below a folder, in one listing; unfinished writes do not show."""
        try:
            if self.local:
                yield from _local_sizes(self.path(relative))
                return
            self.fs.invalidate_cache(self.path(relative))
            found: dict[str, dict[str, Any]] = self.fs.find(self.path(relative), detail=True)
        except FileNotFoundError:
            return
        except OSError as error:
            raise self._blame("list", relative, error) from error
        for path, info in found.items():
            yield path.rsplit("/", 1)[-1], int(info["size"])

    def _write(self, path: str, data: bytes) -> None:
        if self.local:
            _into_place(Path(path), lambda beside: beside.write_bytes(data))
            return
        self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self.fs.pipe_file(path, data)

    def _put(self, path: str, file: Path) -> None:
        if self.local:
            _into_place(Path(path), lambda beside: shutil.copyfile(file, beside))
            return
        self.fs.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
        self.fs.put_file(str(file), path)

    def _guard(self, what: str, relative: str, call: Callable[[], T]) -> T:
        try:
            return call()
        except OSError as error:
            raise self._blame(what, relative, error) from error

    def _blame(self, what: str, relative: str, error: Exception) -> StoreError:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            way_out = "no space is left there; make room, or give another --store, and run the same command again"
        elif isinstance(error, PermissionError) or getattr(error, "errno", None) in (errno.EROFS, errno.EACCES):
            way_out = "not allowed; check who owns it, or give another --store"
        elif isinstance(error, (NotADirectoryError, FileExistsError)):
            way_out = "a file stands where a folder should be; give another --store"
        else:
            way_out = f"{getattr(error, 'strerror', None) or error}; give another --store if it stays so"
        return StoreError(f"store {self.url}: cannot {what} {relative}: {way_out}")


def _into_place(place: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place, and move it there when it is whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{uuid.uuid4().hex[:12]}")
    try:
        write(beside)
        beside.replace(place)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _local_sizes(folder: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _local_sizes(entry.path)
            elif not entry.name.startswith("."):
                yield entry.name, entry.stat().st_size
