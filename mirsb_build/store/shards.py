"""A finished shard: one JSONL file whose first line says what it was made from and how to tell that it is whole."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel

from mirsb_build.errors import Damaged
from mirsb_build.records import checksum, dump

R = TypeVar("R", bound=BaseModel)


class Shard(Generic[R]):
    """Records of one shard, with the key of what they were made from (stage, settings, prompts, inputs)."""

    def __init__(self, key: str, records: Sequence[R]) -> None:
        self.key = key
        self.records = list(records)

    def to_bytes(self) -> bytes:
        rows = [json.dumps(dump(r), ensure_ascii=False, separators=(",", ":")) for r in self.records]
        body = "".join(row + "\n" for row in rows)
        head = {"key": self.key, "records": len(rows), "sha256": checksum(body)}
        return (json.dumps(head) + "\n" + body).encode()


def read_shard(data: bytes, model: type[R], name: str) -> Shard[R]:
    """A shard from its bytes; raises Damaged if it is not what was written."""
    head, _, body = data.decode("utf-8", errors="replace").partition("\n")
    try:
        stated = json.loads(head)
        if checksum(body) != stated["sha256"]:
            raise Damaged(f"shard {name}: does not match its checksum")
        return Shard(stated["key"], [model.model_validate_json(row) for row in body.split("\n") if row])
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"shard {name}: cannot be read") from error
