"""Verdicts in the store: read back as they were written, and missing where the file is not what was written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mirsb_build.records import checksum
from mirsb_build.store import Store
from mirsb_build.store.verdicts import VerdictStore
from tests.factories import call, files_in, verdict

NAME = checksum("a revision")
VERDICTS = {"k1": verdict(), "k2": verdict("fail", "nsfw", score=0.5, feedback="Gru\u00dfe weniger.", calls=(call(),))}


def test_verdicts_are_read_back_as_they_were_written(folder: Path, store: Store) -> None:
    VerdictStore(store.files, "tiny").write(NAME, VERDICTS)
    assert VerdictStore(store.files, "tiny").read(NAME) == VERDICTS
    assert list(files_in(folder)) == [f"builds/tiny/verdicts/{NAME[:2]}/{NAME}.json"]


def test_a_file_holds_what_was_written_last(memory_store: Store) -> None:
    verdicts = VerdictStore(memory_store.files, "tiny")
    verdicts.write(NAME, VERDICTS)
    verdicts.write(NAME, {"k3": verdict()})
    assert verdicts.read(NAME) == {"k3": verdict()}


def test_builds_and_names_have_verdicts_of_their_own(memory_store: Store) -> None:
    VerdictStore(memory_store.files, "tiny").write(NAME, VERDICTS)
    assert VerdictStore(memory_store.files, "other").read(NAME) == {}
    assert VerdictStore(memory_store.files, "tiny").read(checksum("another")) == {}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-20],
    "empty": lambda data: b"",
    "changed": lambda data: data.replace(b'"pass"', b'"fail"'),
    "no JSON": lambda data: b"\xff" + data,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_counts_as_missing(memory_store: Store, damage: str) -> None:
    verdicts = VerdictStore(memory_store.files, "tiny")
    verdicts.write(NAME, VERDICTS)
    name = f"builds/tiny/verdicts/{NAME[:2]}/{NAME}.json"
    data = memory_store.files.read(name)
    assert data
    memory_store.files.write(name, DAMAGES[damage](data))
    assert verdicts.read(NAME) == {}


def test_a_file_of_another_version_of_the_program_counts_as_missing(memory_store: Store) -> None:
    body = b'{"k1":{"check":"nsfw","found":"pass"}}'
    data = b'{"sha256": "%s", "verdicts": %s}\n' % (checksum(body).encode(), body)
    memory_store.files.write(f"builds/tiny/verdicts/{NAME[:2]}/{NAME}.json", data)
    assert VerdictStore(memory_store.files, "tiny").read(NAME) == {}
