"""What can go wrong at the user's end: one line that names the thing and the way out, exit 1 or 2, nothing lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any
from unittest import mock

import pytest

from mirsb_build.cli.app import main
from mirsb_build.records import checksum
from mirsb_build.store import Store
from tests.end_to_end.program import SIMULATED, PrefectServer, Program, all_of, error_line, files_below, small

BUILD = ("build", "bad", "--limit", "18", *small(SIMULATED))
MANIFEST = "builds/bad/release/1/manifest.json"


@dataclass(frozen=True)
class Refused:
    """How a command ended."""

    exit_code: int
    line: str


Mirsb = Callable[..., Refused]


@pytest.fixture
def mirsb(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Mirsb:
    """Run a command that is refused, in this process and in an empty folder; returns how and with which line."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Refused:
        monkeypatch.setattr(sys, "argv", ["mirsb", *map(str, arguments)])
        with mock.patch.dict(os.environ), pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert said.out == ""
        assert len(said.err.splitlines()) == 1, said.err
        assert said.err.startswith("mirsb: ")
        assert isinstance(ended.value.code, int)
        return Refused(ended.value.code, said.err.strip())

    return run


# Names


@pytest.mark.parametrize(
    ("arguments", "named", "nearest"),
    [
        (("build", "b", "--profile", "ofline"), "unknown profile 'ofline'", "'offline'"),
        (("plan", "b", "--profile", "offlin"), "unknown profile 'offlin'", "'offline'"),
        (("build", "b", "--category", "Violance"), "unknown risk category 'Violance'", "'Violence'"),
        (("build", "b", "--category", "privacy"), "unknown risk category 'privacy'", "'Privacy'"),
        (("build", "b", "--relation", "Analogie"), "unknown relation type 'Analogie'", "'Analogy'"),
        (("build", "b", "--relation", "Temporal_Jmp"), "unknown relation type 'Temporal_Jmp'", "'Temporal_Jump'"),
        (("build", "b", "--set", "limits.max_iteration=2"), "'limits.max_iteration'", "'max_iterations'"),
        (("build", "b", "--set", "images.backend=openmojis"), "'openmojis'", "'openmoji'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest_known_one(
    mirsb: Mirsb, tmp_path: Path, arguments: tuple[str, ...], named: str, nearest: str
) -> None:
    refused = mirsb(*arguments)
    assert refused.exit_code == 2
    assert named in refused.line
    assert f"did you mean {nearest}?" in refused.line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["Bad Name", "-x", "über", "a/b", "..", "", "x" * 65])
def test_a_build_name_that_no_folder_should_have_is_refused(mirsb: Mirsb, tmp_path: Path, name: str) -> None:
    refused = mirsb("build", "--", name)
    assert refused.exit_code == 2
    assert "build name" in refused.line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "command",
    [
        ("status", "nowhere"),
        ("audit", "nowhere", "--verify"),
        ("review", "export", "nowhere", "--to", "x.jsonl"),
        ("review", "import", "nowhere", "x.jsonl"),
        ("publish", "nowhere", "--to", "x"),
    ],
)
def test_a_build_that_was_never_made_is_named_and_nothing_is_written(
    mirsb: Mirsb, tmp_path: Path, command: tuple[str, ...]
) -> None:
    refused = mirsb(*command)
    assert refused.exit_code == 2
    assert "unknown build 'nowhere'" in refused.line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("limits.max_iterations=0", "limits.max_iterations"),
        ("limits.max_iterations", "key=value"),
        ("images.width=[", "not a YAML value"),
        ("review.mode=nobody", "review.mode"),
    ],
)
def test_a_setting_that_cannot_be_is_named(mirsb: Mirsb, setting: str, named: str) -> None:
    refused = mirsb("build", "b", "--set", setting)
    assert refused.exit_code == 2
    assert f"--set {setting}" in refused.line
    assert named in refused.line


# Files of the user's


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text).lstrip())
    return file


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("extends: offline\nlimits: {max_iterations: 2\nseeds:\n  per_category: 1\n", 3, "is not YAML"),
        ("extends: offline\n\tlimits: {}\n", 2, "is not YAML"),
        ("extends: offline\nlimits:\n  max_iteration: 2\n", 3, "did you mean 'max_iterations'?"),
        ("extends: offline\nlimits:\n  shard_size: many\n", 3, "limits.shard_size"),
        ("- extends: offline\n", 1, "must hold a mapping"),
    ],
)
def test_a_profile_that_cannot_be_used_is_named_with_its_line(
    mirsb: Mirsb, tmp_path: Path, text: str, line: int, what: str
) -> None:
    profile = write(tmp_path / "mine.yaml", text)
    refused = mirsb("build", "b", "--profile", profile)
    assert refused.exit_code == 2
    assert f"{profile}, line {line}: " in refused.line
    assert what in refused.line
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_a_profile_that_is_not_there_is_named(mirsb: Mirsb) -> None:
    refused = mirsb("build", "b", "--profile", "not/there.yaml")
    assert refused.exit_code == 2
    assert "not/there.yaml" in refused.line


def test_a_relation_type_that_does_not_parse_is_named_with_its_line(mirsb: Mirsb, tmp_path: Path) -> None:
    profile = write(tmp_path / "mine.yaml", "extends: offline\nfolders: [mine]\n")
    file = write(tmp_path / "mine/taxonomy/relations/Odd.yaml", "name: Odd\nfamily: [spatial\nlayout: apart\n")
    for command in (("taxonomy", "check"), ("build", "b")):
        refused = mirsb(*command, "--profile", profile)
        assert refused.exit_code == 2
        assert f"{file}, line " in refused.line
        assert "is not YAML" in refused.line


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("# User\nRewrite {{ seed_query }} for {{ categroy.name }}.\n", 7, "unknown variable 'categroy'; did you mean"),
        ("# User\nRewrite this.\n", None, "'seed_query' is declared and never used"),
        ("# User\nRewrite {{ seed_query }.\n", 7, "is not a template"),
        ('# User\n{% include "none.md" %}{{ seed_query }}\n', None, "'none.md'"),
        ("Rewrite {{ seed_query }}.\n", None, "'# User'"),
    ],
)
def test_a_prompt_that_a_call_would_trip_over_is_refused_before_any_call(
    mirsb: Mirsb, tmp_path: Path, text: str, line: int | None, what: str
) -> None:
    profile = write(tmp_path / "mine.yaml", "extends: offline\nfolders: [mine]\n")
    header = "---\nrole: revisor\nreply: Decomposition\nvariables: [seed_query]\n---\n"
    prompt = write(tmp_path / "mine/prompts/decompose/Analogy.md", header + text)
    refused = mirsb("build", "b", "--profile", profile)
    assert refused.exit_code == 2
    assert f"{prompt}{f', line {line}' if line else ''}" in refused.line
    assert what in refused.line
    assert not (tmp_path / "artifacts").exists()


# Decisions


@pytest.fixture(scope="module")
def waiting(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store with a build that waits for review, and what was exported of it."""
    folder = tmp_path_factory.mktemp("waiting")
    store, export = folder / "store", folder / "review.jsonl"
    done = prefect_server.program("build", "bad", "--limit", "6", *small(), "--store", store)
    assert done.returncode == 3, all_of(done)
    done = prefect_server.program("review", "export", "bad", "--to", export, "--store", store)
    assert done.returncode == 0, all_of(done)
    return store, export


ROW = dict[str, Any]


def unknown_instance(rows: list[ROW]) -> list[object]:
    return [*rows[:-1], rows[-1] | {"instance": "0123456789abcdef"}]


def changed_checksum(rows: list[ROW]) -> list[object]:
    return [*rows[:-1], rows[-1] | {"checksum": "0" * 64}]


def unknown_decision(rows: list[ROW]) -> list[object]:
    return [rows[0], rows[1] | {"decision": "maybe"}, *rows[2:]]


def no_reviewer(rows: list[ROW]) -> list[object]:
    return [rows[0], rows[1] | {"reviewer": ""}, *rows[2:]]


def no_decision(rows: list[ROW]) -> list[object]:
    return [row | {"decision": ""} for row in rows]


def no_object(rows: list[ROW]) -> list[object]:
    return [rows[0], [1, 2, 3], *rows[2:]]


def nothing(rows: list[ROW]) -> list[object]:
    return []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (unknown_instance, "unknown instance '0123456789abcdef'"),
        (changed_checksum, "has changed since it was exported"),
        (unknown_decision, "line 2: decision: "),
        (no_reviewer, "line 2: reviewer: "),
        (no_decision, "holds no decision"),
        (no_object, "line 2: must hold one JSON object"),
        (nothing, "holds no decision"),
    ],
)
def test_of_a_decisions_file_with_a_fault_nothing_is_imported(
    mirsb: Mirsb,
    waiting: tuple[Path, Path],
    tmp_path: Path,
    spoil: Callable[[list[ROW]], list[object]],
    what: str,
) -> None:
    store, export = waiting
    rows = [json.loads(line) | {"reviewer": "ann", "decision": "accept"} for line in export.read_text().splitlines()]
    file = tmp_path / "decisions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in spoil(rows)))
    before = files_below(store)
    refused = mirsb("review", "import", "bad", file, "--store", store)
    assert refused.exit_code == 2
    assert str(file) in refused.line
    assert what in refused.line
    assert files_below(store) == before


@pytest.mark.slow
def test_a_decisions_file_that_was_cut_is_refused_with_the_line(
    mirsb: Mirsb, waiting: tuple[Path, Path], tmp_path: Path
) -> None:
    store, export = waiting
    lines = export.read_text().replace('"reviewer": "", "decision": ""', '"reviewer": "ann", "decision": "accept"')
    file = tmp_path / "decisions.jsonl"
    file.write_text(lines[: -len(lines.splitlines()[-1]) // 2])
    refused = mirsb("review", "import", "bad", file, "--store", store)
    assert refused.exit_code == 2
    assert f"{file}, line {len(lines.splitlines())}: is not JSON" in refused.line
    assert not (store / "builds/bad/review").exists()


@pytest.mark.slow
def test_a_decisions_file_that_is_not_there_is_named(mirsb: Mirsb, waiting: tuple[Path, Path]) -> None:
    refused = mirsb("review", "import", "bad", "nowhere.jsonl", "--store", waiting[0])
    assert refused.exit_code == 2
    assert "nowhere.jsonl" in refused.line


# A second process


@contextmanager
def held(program: Program, store: Path, build: str) -> Iterator[None]:
    """Another process that works on a build."""
    code = (
        "import sys; from mirsb_build.store import Store, build_lock\n"
        "with build_lock(Store(sys.argv[1]).files, sys.argv[2]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(store), build],
        env=dict(program.environment),
        cwd=program.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout and process.stdout.readline() == "held\n"
            yield
        finally:
            process.kill()


@pytest.mark.slow
def test_a_second_run_of_a_build_says_so_and_stops_and_reviewers_go_on(
    waiting: tuple[Path, Path], prefect_server: PrefectServer, tmp_path: Path
) -> None:
    store, export = waiting
    rows = [json.loads(line) | {"reviewer": "ann", "decision": "reject"} for line in export.read_text().splitlines()]
    file = tmp_path / "decisions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = files_below(store)
    with held(prefect_server.program, store, "bad"):
        done = prefect_server.program("build", "bad", "--limit", "12", *small(), "--store", store)
        assert "build bad: another process is working on it" in error_line(done, exit_code=1)
        assert files_below(store) == before
        imported = prefect_server.program("review", "import", "bad", file, "--store", store)
        assert imported.returncode == 0, all_of(imported)
        other = prefect_server.program("build", "other", "--limit", "6", *small(), "--store", store)
        assert other.returncode == 3, all_of(other)  # another build of the same store is free


# The store


@pytest.fixture(scope="module")
def reference(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the build as it ends where there is room."""
    store = tmp_path_factory.mktemp("roomy") / "store"
    done = prefect_server.program(*BUILD, "--store", store)
    assert done.returncode == 0, all_of(done)
    return store


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[None]:
    """A small disk of memory at `folder`; skips the test where that is not allowed."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_a_store_below_a_file_is_refused(prefect_server: PrefectServer, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a folder")
    line = error_line(prefect_server.program(*BUILD, "--store", tmp_path / "notes.txt"), exit_code=1)
    assert f"store {tmp_path}/notes.txt" in line
    assert "--store" in line.partition(": ")[2]
    assert (tmp_path / "notes.txt").read_text() == "not a folder"


@pytest.mark.slow
def test_a_store_that_cannot_be_written_is_refused(prefect_server: PrefectServer, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "ro", "size=1m"):
        line = error_line(prefect_server.program(*BUILD, "--store", disk / "store"), exit_code=1)
    assert f"store {disk}/store: cannot" in line
    assert "give another --store" in line


def test_a_store_of_an_unknown_kind_is_refused(mirsb: Mirsb) -> None:
    refused = mirsb("build", "b", "--store", "floppy://a/b")
    assert refused.exit_code in (1, 2)
    assert "store floppy://a/b" in refused.line


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_a_full_disk_leaves_nothing_half_written_and_the_build_goes_on_when_there_is_room(
    prefect_server: PrefectServer, reference: Path, tmp_path: Path, share: float
) -> None:
    disk = tmp_path / "disk"
    store = disk / "store"
    with mounted(disk, f"size={room(reference, share)}"):
        line = error_line(prefect_server.program(*BUILD, "--store", store), exit_code=1)
        assert f"store {store}: cannot write" in line
        assert "no space is left" in line
        finished = whole_files(store)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        done = prefect_server.program(*BUILD, "--store", store)
        assert done.returncode == 0, all_of(done)
        assert (store / MANIFEST).read_bytes() == (reference / MANIFEST).read_bytes()
        assert finished.items() <= files_below(store / "cache").items()


def room(store: Path, share: float) -> int:
    """A share of the bytes that a store takes on a disk with pages of 4 KiB, before its report is written."""
    sizes = [size for name, (_, _, size) in files_below(store).items() if not name.endswith("report.html")]
    return int(share * sum(-(-size // 4096) * 4096 for size in sizes))


def whole_files(store: Path) -> dict[str, tuple[int, int, int]]:
    """The finished calls of a store; checks that every file in it is whole."""
    hidden = [path.name for path in store.rglob(".*")]
    assert set(hidden) <= {".lock"}
    kept = Store(str(store))
    for call in store.glob("cache/*/*"):
        assert kept.get_call(call.stem), call
    for blob in store.glob("blobs/*/*"):
        assert checksum(blob.read_bytes()) == blob.stem
    for shard in store.glob("builds/*/*/round-*/shard-*"):
        head, _, body = shard.read_text().partition("\n")
        assert checksum(body) == json.loads(head)["sha256"]
    for note in store.glob("builds/*/build.json"):
        assert json.loads(note.read_text())
    return files_below(store / "cache")


@pytest.mark.slow
def test_a_release_that_does_not_fit_where_it_is_copied_to_leaves_nothing_there(
    mirsb: Mirsb, reference: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    with mounted(disk, "size=64k"):
        refused = mirsb("publish", "bad", "--to", disk / "release", "--store", reference)
        assert refused.exit_code == 1
        assert f"cannot write {disk}/release" in refused.line
        assert not list(disk.iterdir())


# Targets


def test_a_target_and_a_number_of_seed_queries_do_not_go_together(mirsb: Mirsb) -> None:
    refused = mirsb("build", "t", "--target-per-cell", "3", "--seeds-per-category", "5")
    assert refused.exit_code == 2
    assert "leave out --seeds-per-category" in refused.line


@pytest.mark.slow
def test_a_check_that_a_build_does_not_have_is_answered_with_the_nearest(mirsb: Mirsb, reference: Path) -> None:
    refused = mirsb("status", "bad", "--check", "lexical_leakges", "--store", reference)
    assert refused.exit_code == 2
    assert "unknown check 'lexical_leakges'; did you mean 'lexical_leakage'?" in refused.line


# Errors in full


@pytest.mark.slow
def test_debug_shows_the_traceback_that_nobody_sees_otherwise(program: Program) -> None:
    wrong = ("build", "b", "--profile", "ofline")
    assert error_line(program(*wrong), exit_code=2)
    done = program("--debug", *wrong)
    assert done.returncode != 0
    assert "Traceback (most recent call last)" in done.stderr
    assert "did you mean 'offline'?" in done.stderr
