"""What all records share: frozen fields, content hashes, canonical JSON.

Ids are content hashes: the same content has the same id in every run and on every machine. Nothing here holds a time,
a path or a machine name, so that a build made twice is the same build; times live in the call cache and in build.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

ID_LENGTH = 16
"""Hex digits of an id (64 bits: among 100,000 records a clash has a chance of 3 in 10^10)."""


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8 kept."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def checksum(data: bytes | str) -> str:
    """SHA-256 of bytes or of a text's UTF-8, in hex."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def content_hash(*parts: object) -> str:
    """SHA-256 of the canonical JSON of the parts, in hex."""
    return checksum(canonical_json(parts))


def hash_each(values: Iterable[object]) -> str:
    """SHA-256 over the content hashes of many values in their order; only one of them is spelt out at a time."""
    digest = hashlib.sha256()
    for value in values:
        digest.update(content_hash(value).encode())
    return digest.hexdigest()


class Record(BaseModel):
    """A frozen record that knows only its own fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Identified(Record):
    """A record whose `id` follows from its content; an id that was read from a file is kept, so it can be verified."""

    id: str = ""

    def identity(self) -> str:
        """The id that the content asks for."""
        raise TypeError(f"{type(self).__name__} has no identity")

    @model_validator(mode="after")
    def _fill_id(self) -> Self:
        if not self.id:
            object.__setattr__(self, "id", self.identity())
        return self


def dump(record: BaseModel) -> dict[str, Any]:
    """A record as plain JSON values, defaults left out."""
    return record.model_dump(mode="json", exclude_defaults=True)
