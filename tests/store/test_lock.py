"""The build lock: the second process says so and stops; a killed one leaves the build free."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest

from mirsb_build.errors import BuildLocked, StoreError
from mirsb_build.store import Store, build_lock

HOLD = """
    import sys
    from mirsb_build.store import Store, build_lock
    with build_lock(Store(sys.argv[1]).files, "demo"):
        print("held", flush=True)
        sys.stdin.read()
"""


@contextmanager
def held_elsewhere(url: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the build `demo` until its input ends or it is killed."""
    command = [sys.executable, "-c", dedent(HOLD), url]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.communicate()


@pytest.mark.parametrize("kind", ["folder", "memory"])
def test_a_second_process_is_told_at_once_and_a_killed_holder_leaves_the_build_free(
    kind: str, store: Store, memory_store: Store
) -> None:
    files = store.files if kind == "folder" else memory_store.files
    with held_elsewhere(files.url) as holder:
        told = "build demo: another process is working on it; wait for it"
        with pytest.raises(BuildLocked, match=told), build_lock(files, "demo"):
            pytest.fail("two processes hold the build")
        with build_lock(files, "other"):
            pass  # another build of the same store is free
        holder.kill()  # SIGKILL: no chance to clean up
        holder.wait()
        with build_lock(files, "demo"):
            pass


def test_a_build_is_free_again_when_its_holder_ends_or_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), build_lock(store.files, "demo"):
        _ = 1 / 0
    with build_lock(store.files, "demo"):
        pass


def test_one_process_cannot_hold_a_build_twice(store: Store) -> None:
    with build_lock(store.files, "demo"), pytest.raises(BuildLocked), build_lock(store.files, "demo"):
        pytest.fail("held twice")


def test_a_build_of_the_same_name_in_another_store_is_another_build(tmp_path: Path) -> None:
    with build_lock(Store(str(tmp_path / "a")).files, "demo"), build_lock(Store(str(tmp_path / "b")).files, "demo"):
        for name in ("a", "b"):
            with pytest.raises(BuildLocked), build_lock(Store(str(tmp_path / name)).files, "demo"):
                pytest.fail("held twice")


def test_a_lock_is_no_build(store: Store) -> None:
    with build_lock(store.files, "demo"):
        assert store.builds() == []
        assert store.files.names("builds/demo") == []


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file stands here")
    files = Store(str(tmp_path / "store")).files
    told = f"store {tmp_path}/store: cannot be written"
    with pytest.raises(StoreError, match=told), build_lock(files, "demo"):
        pytest.fail("locked a store that is none")
