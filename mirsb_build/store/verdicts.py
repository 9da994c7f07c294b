"""Verdicts that a build holds: what was judged once is not judged again, whatever becomes of the shard."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from pydantic import ValidationError

from mirsb_build.records import Verdict, canonical_json, checksum, dump
from mirsb_build.store.files import Files

_FILE = re.compile(rb'\{"sha256": "(?P<sha256>[0-9a-f]{64})", "verdicts": (?P<verdicts>\{.*\})\}\n', re.DOTALL)


class VerdictStore:
    """Small files of verdicts below a build, each named by a hash: of a candidate's revision, or of a comparison.

    In a file every verdict has a key of its own: the hash of all that it depends on, or the candidate that it is on.
    """

    def __init__(self, files: Files, build: str) -> None:
        self._files = files
        self._folder = f"builds/{build}/verdicts"

    def read(self, name: str) -> dict[str, Verdict]:
        """The verdicts of a file by key; none if it is missing or damaged, so that they are made again."""
        data = self._files.read(self._path(name))
        found = _FILE.fullmatch(data) if data else None
        if found is None or checksum(found["verdicts"]).encode() != found["sha256"]:
            return {}
        try:
            return {key: Verdict.model_validate(row) for key, row in json.loads(found["verdicts"]).items()}
        except ValidationError:  # whole, and written by another version of this program
            return {}

    def write(self, name: str, verdicts: Mapping[str, Verdict]) -> None:
        """Write a file in place of the one that is there, seen whole or not at all."""
        body = canonical_json({key: dump(verdict) for key, verdict in verdicts.items()}).encode()
        self._files.write(self._path(name), b'{"sha256": "%s", "verdicts": %s}\n' % (checksum(body).encode(), body))

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name[:2]}/{name}.json"
