"""A finished shard: one JSONL file whose first line says what it was made from and how to tell that it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from mirsb_build.errors import Damaged
from mirsb_build.records import checksum

R = TypeVar("R", bound=BaseModel)


class Head(BaseModel):
    """The first line of a shard's file."""

    key: str
    records: int
    sha256: str
    """Of what follows the first line."""
    blobs: dict[str, int] = {}
    """Blobs that the records speak of -> their length in bytes, 0 where it is not known."""


class Shard(Generic[R]):
    """Records of one shard, with the key of what they were made from (stage, settings, prompts, inputs)."""

    def __init__(self, key: str, records: Sequence[R], blobs: Mapping[str, int] | None = None) -> None:
        self.key = key
        self.records = list(records)
        self.blobs = dict(blobs or {})

    def to_bytes(self) -> bytes:
        body = "".join(r.model_dump_json(exclude_defaults=True) + "\n" for r in self.records)
        head: dict[str, Any] = {"key": self.key, "records": len(self.records), "sha256": checksum(body)}
        if self.blobs:
            head["blobs"] = self.blobs
        return (json.dumps(head) + "\n" + body).encode()


def read_head(data: bytes, name: str) -> Head:
    """The head of a shard from its bytes; raises Damaged if the rest does not match its checksum."""
    line, _, body = data.partition(b"\n")
    try:
        head = Head.model_validate_json(line)
    except ValidationError as error:
        raise Damaged(f"shard {name}: cannot be read") from error
    if checksum(body) != head.sha256:
        raise Damaged(f"shard {name}: does not match its checksum")
    return head


def read_shard(data: bytes, model: type[R], name: str) -> Shard[R]:
    """A shard from its bytes; raises Damaged if it is not what was written."""
    head = read_head(data, name)
    rows = data.split(b"\n")[1:-1]
    try:
        return Shard(head.key, [model.model_validate_json(row) for row in rows if row], head.blobs)
    except ValueError as error:
        raise Damaged(f"shard {name}: cannot be read") from error
