"""History: a build read back by its passes, without opening it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.errors import Damaged, UnknownName
from mirsb_build.history import History, read_note
from mirsb_build.store import Shard, Store
from tests.factories import finish, order, stop_after


def test_a_build_is_looked_at_without_its_profile_keys_or_packages(finished_copy: Context, folder: Path) -> None:
    note = json.loads((folder / "builds/tiny/build.json").read_text())
    note["order"]["profile"] = "/nowhere/mine.yaml"
    (folder / "builds/tiny/build.json").write_text(json.dumps(note))
    history = History(Store(str(folder)), "tiny")
    assert len(history.candidates) == 18
    assert history.instances


def test_an_unknown_build_is_named_with_the_nearest(finished: Context) -> None:
    with pytest.raises(UnknownName, match="unknown build 'tinny'; did you mean 'tiny'"):
        History(finished.store, "tinny")


@pytest.mark.parametrize("data", ["", "{", "[]", '{"build": "tiny"}'])
def test_a_note_that_cannot_be_read_is_said_to_be_so_and_mended_by_the_next_run(
    finished_copy: Context, folder: Path, data: str
) -> None:
    (folder / "builds/tiny/build.json").write_text(data)
    with pytest.raises(Damaged, match=r"build tiny: its build\.json cannot be read; run `mirsb build tiny`"):
        History(finished_copy.store, "tiny")
    finish(folder)
    assert read_note(finished_copy.store, "tiny").build == "tiny"


def test_each_attempt_follows_from_the_one_before(finished: Context) -> None:
    history = History(finished.store, "tiny")
    assert any(len(attempts) > 1 for attempts in history.attempts.values())
    for attempts in history.attempts.values():
        assert [a.round for a in attempts] == list(range(1, len(attempts) + 1))
        for before, after in pairwise(attempts):
            assert after.parent == before.revision
            assert after.feedback == before.failure_feedback


def test_files_that_lie_beside_the_shards_are_not_read(finished_copy: Context, folder: Path) -> None:
    before = History(finished_copy.store, "tiny").attempts
    shard = folder / "builds/tiny/filter/round-1/shard-0000.jsonl"
    for name in ("shard-0000.sync-conflict-20261125.jsonl", "shard-0099.jsonl", ".shard-0000.jsonl.swp"):
        shard.with_name(name).write_bytes(shard.read_bytes())
    (shard.parents[1] / "round-1 (copy)").mkdir()
    assert History(finished_copy.store, "tiny").attempts == before
    finish(folder)


def test_a_shard_of_another_key_does_not_count(finished_copy: Context) -> None:
    store = finished_copy.store
    before = History(store, "tiny")
    store.write_shard("tiny", "filter", 1, 0, Shard("of another run", []))
    after = History(store, "tiny")
    assert set(after.attempts) == set(before.attempts), "what the stage before left of them is read instead"
    assert any(not attempts[0].verdicts for attempts in after.attempts.values())


@pytest.mark.parametrize("shards", [1, 3, 6, 9, 12])
def test_a_build_that_was_stopped_anywhere_is_read_as_far_as_it_got(folder: Path, shards: int) -> None:
    stop_after(open_context(order(folder)), shards)
    history = History(Store(str(folder)), "tiny")
    assert set(history.attempts) <= set(history.candidates)
    assert len(history.candidates) == (18 if shards > 1 else 0)
