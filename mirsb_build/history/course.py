"""The course of a build: which passes its newest run went through, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from mirsb_build.records import Record, checksum
from mirsb_build.store import Store


class Pass(Record):
    """One pass of a stage over its records."""

    stage: str
    round: int
    shards: tuple[str, ...]
    """Key of every shard: a shard in the store belongs to this pass as long as it has this key."""
    new: tuple[tuple[str, str], ...] = ()
    """Candidates that enter the build with this pass: seed query's id, relation type."""


class Course:
    """Passes in the order they happened, in `builds/<build>/passes.jsonl`.

    A run goes through its passes from the first. As long as each is what the run before had at that place, the rest
    of that run still counts; the first that differs takes its place and that of all after it.
    """

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        self._name = f"builds/{build}/passes.jsonl"
        self._written = read_passes(store, build)
        self._at = 0

    def enter(self, entered: Pass) -> None:
        """Write down a pass that begins; nothing is written where the run before had the same."""
        if self._written[self._at : self._at + 1] != [entered]:
            self._written = [*self._written[: self._at], entered]
            self._write()
        self._at += 1

    def end(self) -> None:
        """Forget what an earlier, longer run went through after this one's last pass."""
        if len(self._written) > self._at:
            self._written = self._written[: self._at]
            self._write()

    def _write(self) -> None:
        self._store.files.write(self._name, "".join(p.model_dump_json() + "\n" for p in self._written).encode())


def read_passes(store: Store, build: str) -> list[Pass]:
    """The passes of a build's newest run, as far as they can be read."""
    passes: list[Pass] = []
    for line in (store.files.read(f"builds/{build}/passes.jsonl") or b"").splitlines():
        try:
            passes.append(Pass.model_validate_json(line))
        except ValidationError:
            break
    return passes


def passes_digest(store: Store, build: str) -> str:
    """SHA-256 of the passes as they are written."""
    return checksum(store.files.read(f"builds/{build}/passes.jsonl") or b"")


class Finish(Record):
    """How a run ended, in `builds/<build>/report/finished.json`: enough to see that nothing is left to do.

    It is deleted before a run makes anything, so what it says of the build holds wherever it is found.
    """

    key: str
    """Hash of all that the build depends on."""
    passes: str
    """SHA-256 of passes.jsonl."""
    shards: dict[str, str]
    """Shard file, below the build's folder -> SHA-256 of its bytes."""
    summary: dict[str, Any]
    """The funnel as it was then."""


def finish_file(build: str) -> str:
    """Where the finish lies in the store."""
    return f"builds/{build}/report/finished.json"


def read_finish(store: Store, build: str) -> Finish | None:
    """How the newest run ended; None while one is at work, or where it was stopped."""
    data = store.files.read(finish_file(build))
    try:
        finish = Finish.model_validate_json(data) if data else None
    except ValidationError:
        return None
    return finish if finish and finish.passes == passes_digest(store, build) else None


def write_finish(store: Store, build: str, finish: Finish) -> None:
    """Write down how a run ended."""
    store.files.write(finish_file(build), finish.model_dump_json().encode())


def delete_finish(store: Store, build: str) -> None:
    """Forget how the newest run ended, because another one changes the build."""
    store.files.delete(finish_file(build))


def shard_files(passes: Sequence[Pass]) -> list[tuple[Pass, int, str]]:
    """Every shard of these passes: its pass, number, and file below the build's folder."""
    return [(p, n, Store.shard_name(p.stage, p.round, n)) for p in passes for n in range(len(p.shards))]
