"""A release's folder on disk, held against its manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mirsb_build.errors import ReleaseError
from mirsb_build.releases import MANIFEST, FileEntry, Manifest, read_manifest


class ReleaseFile(NamedTuple):
    """One file of a release, with both names a Hub can give to its content."""

    path: Path
    bytes: int
    sha256: str
    blob_id: str


def read_folder(folder: Path) -> tuple[Manifest, dict[str, ReleaseFile]]:
    """A release's manifest and files by path; raises ReleaseError unless the folder is just what the manifest says."""
    again = "publish the build again"
    if not (folder / MANIFEST).is_file():
        raise ReleaseError(f"{folder}: there is no {MANIFEST}, so this is no finished release; {again}")
    try:
        manifest = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        found = {path.relative_to(folder).as_posix(): _read_file(path) for path in folder.rglob("*") if path.is_file()}
    except OSError as error:
        raise ReleaseError(f"{error.filename or folder}: cannot be read ({error.strerror}); {again}") from error
    listed = set(manifest.files)
    if missing := sorted(listed - set(found)):
        raise ReleaseError(f"{folder}: {some(missing)} is in {MANIFEST} but not in the folder; {again}")
    if unknown := sorted(set(found) - listed - {MANIFEST}):
        raise ReleaseError(f"{folder}: {some(unknown)} is not in {MANIFEST}; remove it, or {again}")
    stated = {path: FileEntry(sha256=found[path].sha256, bytes=found[path].bytes) for path in listed}
    if changed := sorted(path for path in listed if manifest.files[path] != stated[path]):
        raise ReleaseError(f"{folder}: {some(changed)} is not the file that {MANIFEST} lists; {again}")
    return manifest, found


def some(names: Sequence[str]) -> str:
    """The first of several names, and how many more there are."""
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"


def _read_file(path: Path) -> ReleaseFile:
    """Size and names of a file's content, in one pass over it."""
    size = path.stat().st_size
    sha256, blob_id = hashlib.sha256(), hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            blob_id.update(block)
    return ReleaseFile(path, size, sha256.hexdigest(), blob_id.hexdigest())
