"""One release that was loaded: its instances, their provenance, and its files held against the manifest."""

# pyarrow has no types:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from mirsb_build.errors import ReleaseError
from mirsb_build.records import Cell, Instance, Record, checksum
from mirsb_build.releases.manifest import MANIFEST, FileEntry, Manifest, read_manifest
from mirsb_build.store import Files

ROWS_AT_ONCE = 16
"""Rows whose images are in memory together."""
AGAIN = "publish the build again, or get the release again"


class ReleasedInstance(Record):
    """One row of a release: the ten published columns by their names, and ours."""

    id: str
    """Number in the (category, relationship_type) cell."""
    category: str
    original_question: str
    relationship_type: str
    revised_prompt: str
    image_descriptions: tuple[str, ...]
    image_keywords: tuple[str, ...]
    num_images: int
    iteration: int
    instance: str
    image_sha256: tuple[str, ...]
    image_credits: tuple[str, ...]
    simulated_review: bool
    canary: str
    images: tuple[bytes, ...] = ()
    """Bytes of the images, in order, where they were asked for."""

    @property
    def cell(self) -> Cell:
        """Risk category and relation type."""
        return self.category, self.relationship_type


class LoadedRelease:
    """A finished release below `folder` of some files. Opening it reads the manifest; nothing is held in memory."""

    def __init__(self, files: Files, folder: str, name: str) -> None:
        """Raises ReleaseError where there is no manifest, or none that can be read."""
        self._files = files
        self._folder = folder
        self.name = name
        """How people and records name it: BUILD/VERSION, ORG/NAME, or the folder."""
        data = files.read(f"{folder}/{MANIFEST}")
        if data is None:
            raise ReleaseError(f"release {name}: there is no {MANIFEST}, so this is no finished release; {AGAIN}")
        self.manifest: Manifest = read_manifest(data, f"release {name}")

    def instances(self, *, images: bool = False) -> Iterator[ReleasedInstance]:
        """Every instance in the release's order, a few at a time; with the bytes of its images where asked.

        Raises ReleaseError for files that are missing or cut, rows that are missing, and columns of another schema.
        """
        count = 0
        columns = [name for name in ReleasedInstance.model_fields if images or name != "images"]
        for name in sorted(self.manifest.files):
            if name.endswith(".parquet"):
                for row in self._rows(name, columns):
                    yield row
                    count += 1
        if count != self.manifest.instances:
            raise ReleaseError(
                f"release {self.name}: has {count} instances, and its manifest says {self.manifest.instances}; {AGAIN}"
            )

    def provenance(self) -> Iterator[Instance]:
        """Every instance as the build had it: seed query, calls, verdicts, picture sources, decisions.

        Raises ReleaseError where the file is not what the manifest says, or cannot be read.
        """
        for line in self.read("provenance.jsonl").splitlines():
            try:
                story: dict[str, Any] = json.loads(line)
                yield Instance.model_validate({name: value for name, value in story.items() if name != "id"})
            except ValueError as error:
                raise ReleaseError(f"release {self.name}: its provenance cannot be read; {AGAIN}") from error

    def read(self, name: str) -> bytes:
        """A file of the release; raises ReleaseError if it is not what the manifest says."""
        data = self._files.read(f"{self._folder}/{name}") or b""
        if checksum(data) != self.manifest.files[name].sha256:
            raise self._damaged(name)
        return data

    def damaged(self) -> list[str]:
        """Names of the files that are missing or not what the manifest says; every byte is read."""
        return [name for name, entry in self.manifest.files.items() if not self._is_whole(name, entry)]

    def missing(self) -> list[str]:
        """Names of the files that are not there in their length; no file is read."""
        lengths = {name: self._files.size(f"{self._folder}/{name}") for name in self.manifest.files}
        return [name for name, entry in self.manifest.files.items() if lengths[name] != entry.bytes]

    def copy(self, to: Path) -> None:
        """Copy the release to a folder of the user's, whole or not at all; raises ReleaseError."""
        try:
            if self._is_copy(to):
                return
            if to.exists() and any(to.iterdir()):
                raise ReleaseError(f"{to}: is not empty; give --to a new folder")
            to.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as name:
                whole = Path(name) / "release"
                for file in self.manifest.files:
                    (whole / file).parent.mkdir(parents=True, exist_ok=True)
                    self._copy_file(file, whole / file)
                (whole / MANIFEST).write_bytes(self.manifest.to_bytes())
                whole.replace(to)
        except OSError as error:
            raise ReleaseError(f"cannot write {to}: {error.strerror}; give --to another folder") from error

    def _rows(self, name: str, columns: list[str]) -> Iterator[ReleasedInstance]:
        try:
            with self._files.open(f"{self._folder}/{name}") as file:
                table: Any = pq.ParquetFile(file)
                if lacking := [column for column in columns if column not in table.schema_arrow.names]:
                    raise ReleaseError(
                        f"release {self.name}: {name} has no column {lacking[0]!r}, so it is of another schema; "
                        "read it with the mirsb-build that made it"
                    )
                for batch in table.iter_batches(batch_size=ROWS_AT_ONCE, columns=columns):
                    for row in cast(list[dict[str, Any]], batch.to_pylist()):
                        if "images" in row:
                            row["images"] = [image["bytes"] for image in row["images"]]
                        yield ReleasedInstance.model_validate(row)
        except FileNotFoundError as error:
            raise ReleaseError(f"release {self.name}: {name} is missing; {AGAIN}") from error
        except (pa.ArrowException, OSError, ValidationError, TypeError) as error:
            raise ReleaseError(f"release {self.name}: {name} cannot be read; {AGAIN}") from error

    def _damaged(self, name: str) -> ReleaseError:
        return ReleaseError(
            f"release {self.name}: {name} does not match its checksum; delete the file and run `mirsb build`, which "
            "makes it again, or get the release again"
        )

    def _is_whole(self, name: str, entry: FileEntry) -> bool:
        return self._files.checksum(f"{self._folder}/{name}") == entry.sha256

    def _copy_file(self, name: str, to: Path) -> None:
        """Copy one file in parts, hashing what goes by."""
        try:
            with self._files.open(f"{self._folder}/{name}") as source, to.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError as error:
            raise self._damaged(name) from error
        with to.open("rb") as copied:
            if hashlib.file_digest(copied, "sha256").hexdigest() != self.manifest.files[name].sha256:
                raise self._damaged(name)

    def _is_copy(self, to: Path) -> bool:
        """Whether a folder holds just this release, file by file."""
        stated = {name: entry.sha256 for name, entry in self.manifest.files.items()}
        stated[MANIFEST] = checksum(self.manifest.to_bytes())
        found = {path.relative_to(to).as_posix(): path for path in to.rglob("*") if path.is_file()}
        return found.keys() == stated.keys() and all(_sha256(path) == stated[name] for name, path in found.items())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
