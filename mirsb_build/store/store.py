"""What a build keeps: calls, blobs, shards and documents."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any, TypeVar

from pydantic import BaseModel

from mirsb_build.errors import Damaged
from mirsb_build.records import checksum
from mirsb_build.store.blobs import BlobListing, blob_path
from mirsb_build.store.files import Files
from mirsb_build.store.shards import Shard, read_head, read_shard

R = TypeVar("R", bound=BaseModel)

_SHARD = re.compile(r"shard-(\d{4,})\.jsonl")
_ROUND = re.compile(r"round-(\d+)")
"""What else lies beside, a copy that a syncing folder made for example, is not ours."""
_ENTRY = re.compile(rb'\{"sha256": "(?P<sha256>[0-9a-f]{64})", "call": (?P<call>\{.*\})\}\n', re.DOTALL)


class Store:
    """Builds, blobs and the call cache below one fsspec URL (a local folder, `s3://...`, `memory://`)."""

    def __init__(self, url: str, files: Files | None = None) -> None:
        """Open the store at `url`; `files` stands in for the files below it."""
        self.url = url
        self.files = files or Files(url)
        self._blobs = BlobListing(self.files)

    # Call cache: shared by all builds.

    def get_call(self, key: str) -> dict[str, Any] | None:
        """What was stored under `key`; None if nothing was, or if it is damaged, so that the call is made again."""
        data = self.files.read(f"cache/{key[:2]}/{key}.json")
        found = _ENTRY.fullmatch(data) if data else None
        if found is None or checksum(found["call"]).encode() != found["sha256"]:
            return None
        return json.loads(found["call"])

    def put_call(self, key: str, call: dict[str, Any]) -> None:
        """Keep a finished call: a JSON file that opens with the checksum of what follows."""
        body = json.dumps(call, separators=(",", ":")).encode()
        entry = b'{"sha256": "%s", "call": %s}\n' % (checksum(body).encode(), body)
        self.files.write(f"cache/{key[:2]}/{key}.json", entry)

    def forget_call(self, key: str) -> None:
        """Drop a call."""
        self.files.delete(f"cache/{key[:2]}/{key}.json")

    # Blobs: named by what they hold.

    @staticmethod
    def blob_name(sha256: str, extension: str) -> str:
        return blob_path(sha256, extension)

    def put_blob(self, data: bytes, extension: str) -> str:
        """Keep bytes; returns their SHA-256. Bytes that are there already are not written again."""
        digest = checksum(data)
        if not self._blobs.has(digest, extension, len(data)):
            self.files.write(self.blob_name(digest, extension), data)
            self._blobs.add(digest, extension, len(data))
        return digest

    def has_blob(self, sha256: str, extension: str, length: int = 0) -> bool:
        """Whether a blob is there and, where `length` is not 0, has so many bytes.

        All blobs are listed once, at the first question; their content is verified when it is read.
        """
        self._blobs.list_all()
        return self._blobs.has(sha256, extension, length)

    def list_blobs_anew(self) -> None:
        """Forget which blobs were there when they were listed."""
        self._blobs.forget_all()

    def get_blob(self, sha256: str, extension: str) -> bytes:
        """The bytes; raises Damaged if they are missing or do not match their name."""
        name = self.blob_name(sha256, extension)
        data = self.files.read(name)
        if data is None:
            raise Damaged(f"{name}: is missing from store {self.url}")
        if checksum(data) != sha256:
            self._blobs.mark_damaged(sha256, extension)
            raise Damaged(f"{name}: does not match its checksum")
        return data

    def forget_blob(self, sha256: str, extension: str) -> None:
        """Drop a blob that was found damaged, so that it counts as missing and is made anew."""
        self.files.delete(self.blob_name(sha256, extension))
        self._blobs.discard(sha256, extension)

    # Shards: what a stage made.

    @staticmethod
    def shard_name(stage: str, round: int, n: int) -> str:
        """Where a shard lies below its build's folder."""
        return f"{stage}/round-{round}/shard-{n:04d}.jsonl"

    def _shard(self, build: str, stage: str, round: int, n: int) -> str:
        return f"builds/{build}/{self.shard_name(stage, round, n)}"

    def _shards(self, build: str, stage: str, round: int) -> list[int]:
        """Numbers of the shards that are there; a kill can leave gaps."""
        names = self.files.names(f"builds/{build}/{stage}/round-{round}")
        return sorted(int(found[1]) for n in names if (found := _SHARD.fullmatch(n)))

    def write_shard(self, build: str, stage: str, round: int, n: int, shard: Shard[R]) -> None:
        self.files.write(self._shard(build, stage, round, n), shard.to_bytes())

    def read_shard(
        self, build: str, stage: str, round: int, n: int, model: type[R], key: str | None = None
    ) -> Shard[R] | None:
        """The shard, or None if it is missing, damaged or of another key: either way its stage has to make it."""
        name = self._shard(build, stage, round, n)
        data = self.files.read(name)
        if data is None:
            return None
        try:
            return read_shard(data, model, name) if key is None or read_head(data, name).key == key else None
        except Damaged:
            return None

    def each_record(self, build: str, stage: str, round: int, n: int, model: type[R], key: str) -> Iterator[R]:
        """The records of a shard one by one, so that a large one is never in memory as a whole.

        None where the shard is missing, damaged or of another key; ends before a record that cannot be read.
        """
        name = self._shard(build, stage, round, n)
        data = self.files.read(name)
        try:
            if data is None or read_head(data, name).key != key:
                return
            rows = BytesIO(data)
            rows.readline()
            for row in rows:
                yield model.model_validate_json(row)
        except (Damaged, ValueError):
            return

    def keep_shards(self, build: str, stage: str, round: int, count: int) -> None:
        """Forget the shards of a round from number `count` on: the build got smaller."""
        for n in self._shards(build, stage, round):
            if n >= count:
                self.files.delete(self._shard(build, stage, round, n))

    def keep_rounds(self, build: str, stages: Sequence[str], last: int) -> None:
        """Forget the rounds after `last`."""
        for stage in stages:
            for round in self.rounds(build, stage):
                if round > last:
                    self.files.delete(f"builds/{build}/{stage}/round-{round}")

    def rounds(self, build: str, stage: str) -> list[int]:
        """The rounds that a stage has shards of."""
        names = self.files.names(f"builds/{build}/{stage}")
        return sorted(int(found[1]) for n in names if (found := _ROUND.fullmatch(n)))

    def records(self, build: str, stage: str, round: int, model: type[R]) -> Iterator[R]:
        """All records of a stage's round, in shard order; damaged shards are left out."""
        for n in self._shards(build, stage, round):
            if shard := self.read_shard(build, stage, round, n, model):
                yield from shard.records

    # Documents: build.json, review files, releases, the report.

    def builds(self) -> list[str]:
        """Names of the builds."""
        return [name for name in self.files.names("builds") if self.files.exists(f"builds/{name}/build.json")]

    def read_json(self, name: str) -> Any:
        """A JSON document; None if it is missing or cut."""
        data = self.files.read(name)
        try:
            return None if data is None else json.loads(data)
        except ValueError:
            return None

    def write_json(self, name: str, value: object) -> None:
        self.files.write(name, (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())
