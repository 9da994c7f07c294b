"""Files: a write is seen whole or not at all, and what goes wrong on a disk is told in our own words."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.errors import StoreError
from mirsb_build.store import Files

names = st.lists(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True), min_size=1, max_size=3).map("/".join)


@pytest.fixture(params=["folder", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Files:
    """Files in a local folder, and behind an fsspec URL that is none."""
    return Files(str(tmp_path / "store") if request.param == "folder" else f"memory://{uuid.uuid4().hex}")


@settings(max_examples=30)
@given(name=names, data=st.binary(max_size=200), other=st.binary(max_size=200))
def test_what_was_written_last_is_what_is_read(files: Files, name: str, data: bytes, other: bytes) -> None:
    name = f"{uuid.uuid4().hex}/{name}"
    assert files.read(name) is None
    assert not files.exists(name)
    files.write(name, data)
    assert files.read(name) == data
    files.write(name, other)
    assert files.read(name) == other
    assert files.exists(name)
    files.delete(name)
    assert files.read(name) is None


def test_names_are_those_right_below_a_folder_in_order(files: Files) -> None:
    for name in ("b/2.txt", "b/1.txt", "b/deep/3.txt", "a.txt"):
        files.write(name, b"x")
    assert files.names("b") == ["1.txt", "2.txt", "deep"]
    assert files.names("nowhere") == []


def test_a_folder_is_deleted_with_all_in_it_and_nothing_else(files: Files) -> None:
    for name in ("gone/1", "gone/deep/2", "gone-not/3"):
        files.write(name, b"x")
    files.delete("gone")
    files.delete("gone")  # no matter that it is not there
    assert files.names("") == ["gone-not"]
    assert files.read("gone/deep/2") is None


# Whole or not at all


def test_a_reader_in_another_process_never_sees_half_a_write(tmp_path: Path) -> None:
    """A writer replaces a file of 1 MB again and again; each read finds one version of it, whole."""
    size = 2**20
    script = f"""
        import itertools, sys
        from mirsb_build.store import Files
        files = Files(sys.argv[1])
        print("ready", flush=True)
        for n in itertools.count():
            files.write("cache/aa/file.json", bytes([n % 256]) * {size})
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", dedent(script), str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        files = Files(str(tmp_path))
        seen: set[int] = set()
        while len(seen) < 20:
            data = files.read("cache/aa/file.json")
            if data is not None:
                assert len(data) == size
                assert len(set(data)) == 1
                seen.add(data[0])
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
        assert writer.stdout is not None
        writer.stdout.close()
    data = files.read("cache/aa/file.json")
    assert data is not None and len(data) == size, "killed in the middle of a write, it left the version before"
    assert files.names("cache/aa") == ["file.json"], "what it had begun does not show"


def test_writers_of_one_file_do_not_mix(files: Files) -> None:
    versions = [bytes([n]) * 100_000 for n in range(8)]

    def write(data: bytes) -> None:
        for _ in range(10):
            files.write("shared", data)

    threads = [threading.Thread(target=write, args=(v,)) for v in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files.read("shared") in versions
    assert files.names("") == ["shared"]


# What can go wrong


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 1 MB; skips where we may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_with_the_way_out_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        files = Files(str(disk))
        files.write("kept", b"as it was")
        with pytest.raises(StoreError, match="no space is left there; make room") as caught:
            for n in range(5):
                files.write(f"blob-{n}", os.urandom(300_000))
        assert f"store {disk}: cannot write blob-" in str(caught.value)
        with pytest.raises(StoreError, match="no space is left"):
            files.write("kept", os.urandom(2_000_000))
        assert files.read("kept") == b"as it was"
        assert all(len(files.read(n) or b"") == 300_000 for n in files.names("") if n.startswith("blob"))
        assert not [p for p in disk.rglob(".*") if p.is_file()], "what did not fit does not take up the room"
        files.delete("blob-0")
        files.write("blob-9", os.urandom(200_000))


def test_a_write_that_the_system_cuts_off_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    """A limit on the size of files: what a quota does, without root."""
    script = """
        import resource, signal, sys
        from mirsb_build.errors import StoreError
        from mirsb_build.store import Files
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        files = Files(sys.argv[1])
        files.write("blob", b"as it was")
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            files.write("blob", b"x" * 100_000)
        except StoreError as error:
            print(error)
    """
    assert resource.RLIMIT_FSIZE is not None
    done = subprocess.run(
        [sys.executable, "-c", dedent(script), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"store {tmp_path}: cannot write blob: ")
    assert len(done.stdout.splitlines()) == 1
    assert Files(str(tmp_path)).read("blob") == b"as it was"
    assert Files(str(tmp_path)).names("") == ["blob"]


def test_a_file_where_the_store_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file")
    files = Files(str(tmp_path / "store"))
    told = "a file stands where a folder should be; give another --store"
    with pytest.raises(StoreError, match=f"store {tmp_path}/store: cannot write builds/x: {told}"):
        files.write("builds/x", b"x")
    with pytest.raises(StoreError, match=told):
        files.read("builds/x")


def test_a_folder_where_a_file_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "blob").mkdir()
    with pytest.raises(StoreError, match="cannot read blob: "):
        Files(str(tmp_path)).read("blob")
    with pytest.raises(StoreError, match="cannot write blob: "):
        Files(str(tmp_path)).write("blob", b"x")
    assert list(tmp_path.iterdir()) == [tmp_path / "blob"]


def test_a_store_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    """As the user `nobody`, because root may write everywhere."""
    script = """
        import os, sys
        from mirsb_build.errors import StoreError
        from mirsb_build.store import Files
        if os.getuid() == 0:
            os.setuid(65534)
        try:
            Files(sys.argv[1]).write("blobs/x", b"x")
        except StoreError as error:
            print(error)
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o555)
        command = [sys.executable, "-c", dedent(script), name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        expected = f"store {name}: cannot write blobs/x: not allowed; check who owns it, or give another --store\n"
        assert done.stdout == expected
        assert list(Path(name).iterdir()) == []


@pytest.mark.parametrize("url", ["nosuch://bucket", "s3x://team/builds"])
def test_a_url_that_nothing_speaks_is_named(url: str) -> None:
    with pytest.raises(StoreError, match=f"store {url}: .*; give --store a folder or an fsspec URL"):
        Files(url)
