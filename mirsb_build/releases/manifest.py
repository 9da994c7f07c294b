"""A release's manifest: what is in it and how to tell that it is whole."""

from __future__ import annotations

import json

from pydantic import BaseModel, ValidationError

from mirsb_build.errors import ReleaseError
from mirsb_build.records import Cell, MadeWith, Record

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
"""Raised when a reader of the version before could misread the files."""


class FileEntry(Record):
    """One file of a release."""

    sha256: str
    bytes: int


class Manifest(Record):
    """What is in a release and how to tell that it is whole."""

    schema_version: int = SCHEMA_VERSION
    build: str
    version: str
    instances: int
    simulated_review: bool
    canary: str
    content: str
    """SHA-256 over the names and checksums of `files`."""
    made_with: MadeWith
    files: dict[str, FileEntry]
    numbers: dict[str, dict[str, int]] = {}
    """`<risk category>/<relation type>` -> instance -> the number (column `id`) that it has in every release.

    It names all instances of this release and of the earlier ones of the build, so that no number is given twice.
    """

    def to_bytes(self) -> bytes:
        """The manifest as it is written."""
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()

    def numbers_of(self, cell: Cell) -> dict[str, int]:
        """Numbers given in a cell, by instance."""
        return self.numbers.get(cell_name(cell), {})


def cell_name(cell: Cell) -> str:
    """How a manifest names a cell."""
    return "/".join(cell)


def read_manifest(data: bytes, where: str) -> Manifest:
    """A manifest from its bytes; raises ReleaseError if it is none, or one of a newer schema."""
    try:
        version = _Versioned.model_validate_json(data).schema_version
        if version > SCHEMA_VERSION:
            raise ReleaseError(
                f"{where}: is of schema version {version}, and this mirsb-build reads up to {SCHEMA_VERSION}; update it"
            )
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ReleaseError(f"{where}: is not a release's manifest; publish the release again") from error


class _Versioned(BaseModel):
    """What manifests of all schema versions have."""

    schema_version: int = SCHEMA_VERSION
