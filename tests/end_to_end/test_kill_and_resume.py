"""A build that is killed, or whose files are damaged, ends as if nothing had happened, and repeats no finished call."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pytest

from mirsb_build.store import Store
from tests.end_to_end.program import (
    SIMULATED,
    PrefectServer,
    Program,
    all_of,
    files_below,
    group_lives,
    small,
    stopped_at_the_end,
    until,
)

pytestmark = pytest.mark.slow

BUILD = ("build", "resumed", "--limit", "54", *small(SIMULATED))
MANIFEST = "builds/resumed/release/1/manifest.json"


def built(program: Program, store: Path) -> bytes:
    """Run the build to its end; returns the manifest's bytes."""
    done = program(*BUILD, "--store", store)
    assert done.returncode == 0, all_of(done)
    return (store / MANIFEST).read_bytes()


def calls(store: Path) -> dict[str, tuple[int, int, int]]:
    """The finished calls: files of the call cache."""
    return files_below(store / "cache")


def shards(store: Path, stage: str, round: int = 0) -> int:
    """How many finished shards a round of a stage has."""
    return len(files_below(store / f"builds/resumed/{stage}/round-{round}"))


@pytest.fixture(scope="module")
def reference(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the build as it ends when nothing happens to it."""
    store = tmp_path_factory.mktemp("reference") / "store"
    built(prefect_server.program, store)
    return store


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "after the first seeds": lambda store: shards(store, "seeds") >= 1,
    "between the calls of round 1": lambda store: len(calls(store)) >= 30,
    "between the images of round 1": lambda store: len(calls(store)) >= 110,
    "after the first shard that was judged": lambda store: shards(store, "filter", 1) >= 1,
    "in round 2": lambda store: shards(store, "decompose", 2) >= 1,
}
"""Five moments of a build, in the order in which they come; what holds at one of them goes on holding."""


def killed(program: Program, store: Path, reached: Callable[[Path], bool]) -> None:
    """Start the build and kill it as soon as a moment is reached; checks that no child outlives it."""
    log = store.with_suffix(".log")
    process = program.start("mirsb", *BUILD, "--store", store, log=log)
    with stopped_at_the_end(process):
        until(lambda: process.poll() is not None or reached(store), log.read_text, every=0.002)
        process.kill()
        process.wait()
        assert process.returncode == -signal.SIGKILL, f"ended before it could be killed\n{log.read_text()}"
        until(lambda: not group_lives(process), lambda: f"the build's children are still there\n{log.read_text()}")


def test_killed_at_five_moments_a_build_ends_with_the_same_manifest_and_repeats_no_finished_call(
    program: Program, prefect_server: PrefectServer, reference: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    finished: dict[str, tuple[int, int, int]] = {}
    # In turn with Prefect's temporary server, which has to end too, and with one that goes on running.
    for (moment, reached), run in zip(MOMENTS.items(), cycle([program, prefect_server.program]), strict=False):
        killed(run, store, reached)
        assert not (store / MANIFEST).exists(), moment
        now = calls(store)
        assert len(now) < len(calls(reference)), f"{moment} was no moment in the middle"
        assert finished.items() <= now.items(), f"going on from before {moment!r}, calls were repeated"
        finished = now
    assert built(program, store) == (reference / MANIFEST).read_bytes()
    assert finished.items() <= calls(store).items()
    assert calls(store).keys() == calls(reference).keys()


# Damage between two runs


def cut(file: Path) -> None:
    """Take the second half of a file away, as a disk that ran full or a machine that lost power would."""
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


def first(store: Path, pattern: str) -> Path:
    return sorted(store.glob(pattern))[0]


def a_shard(store: Path) -> list[Path]:
    return [first(store, "builds/resumed/filter/round-1/shard-*")]


def a_call_and_the_shard_that_rests_on_it(store: Path) -> list[Path]:
    """A build with the whole shard has no use for the call."""
    shard = first(store, "builds/resumed/decompose/round-1/shard-*")
    return [shard, next(file for file in store.glob("cache/*/*.json") if file.stem in shard.read_text())]


def a_blob(store: Path) -> list[Path]:
    return [first(store, "blobs/*/*.png")]


def a_blob_and_the_verdicts_on_it(store: Path) -> list[Path]:
    shard = first(store, "builds/resumed/filter/round-1/shard-*")
    return [shard, next(file for file in store.glob("blobs/*/*.png") if file.stem in shard.read_text())]


def a_file_of_the_release(store: Path) -> list[Path]:
    return [first(store, "builds/resumed/release/1/data/*.parquet")]


@pytest.mark.parametrize(
    "chosen",
    [
        a_shard,
        a_call_and_the_shard_that_rests_on_it,
        a_blob,
        a_blob_and_the_verdicts_on_it,
        a_file_of_the_release,
    ],
)
def test_a_damaged_file_is_noticed_and_made_again(
    chosen: Callable[[Path], list[Path]],
    reference: Path,
    prefect_server: PrefectServer,
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference, store)
    damaged = {file: file.read_bytes() for file in chosen(store)}
    for file in damaged:
        cut(file)
    assert built(prefect_server.program, store) == (reference / MANIFEST).read_bytes()
    for file, data in damaged.items():
        if file.is_relative_to(store / "cache"):  # a call that was made again has a new time
            assert Store(str(store)).get_call(file.stem)
        else:
            assert file.read_bytes() == data, file


def test_a_release_that_was_half_written_is_finished_and_not_numbered_anew(
    reference: Path, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference, store)
    shutil.rmtree(store / "builds/resumed/publish")
    (store / MANIFEST).unlink()
    cut(first(store, "builds/resumed/release/1/data/*.parquet"))
    assert built(prefect_server.program, store) == (reference / MANIFEST).read_bytes()
    assert [folder.name for folder in (store / "builds/resumed/release").iterdir()] == ["1"]


def test_a_report_that_a_kill_came_before_is_written_by_the_next_run(
    reference: Path, program: Program, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(reference, store)
    (store / "builds/resumed/report.html").unlink()
    assert built(program, store) == (reference / MANIFEST).read_bytes()
    assert (store / "builds/resumed/report.html").read_bytes() == (
        reference / "builds/resumed/report.html"
    ).read_bytes()
