"""A review by people: the build waits for them, takes their decisions, and releases what they accepted."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.program import PrefectServer, Program, all_of, error_line, files_below, free_port, small

pytestmark = pytest.mark.slow

BUILD = ("build", "people", "--limit", "12", *small())


@dataclass(frozen=True)
class Review:
    """A build that waits for review, exported."""

    store: Path
    export: Path

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.export.read_text().splitlines()]


@pytest.fixture(scope="module")
def review(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> Review:
    folder = tmp_path_factory.mktemp("people")
    store, export = folder / "store", folder / "review.jsonl"
    waiting = prefect_server.program(*BUILD, "--store", store)
    assert "wait for review" in error_line(waiting, exit_code=3)
    done = prefect_server.program("review", "export", "people", "--to", export, "--store", store)
    assert done.returncode == 0, all_of(done)
    return Review(store, export)


def decide(review: Review, file: Path, *decisions: str) -> Path:
    """The exported file with decisions filled in, one a row, the last of them for all other rows."""
    words = [*decisions, *[decisions[-1]] * len(review.rows)]
    decided = [row | {"reviewer": "ann", "decision": word} for row, word in zip(review.rows, words, strict=False)]
    file.write_text("".join(json.dumps(row) + "\n" for row in decided))
    return file


@pytest.fixture
def store(review: Review, tmp_path: Path) -> Path:
    """A copy of the store with the build that waits."""
    return Path(shutil.copytree(review.store, tmp_path / "store"))


def test_a_build_stops_for_people_and_goes_on_when_they_have_decided(
    review: Review, store: Path, program: Program, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    build, mirsb = prefect_server.program, program  # only builds tell the server anything
    rows = review.rows
    assert len(rows) > 4

    # Each row shows a reviewer everything, and every image is there.
    for row in rows:
        assert row["prompt"] and row["seed_query"]
        assert row["decision"] == row["reviewer"] == ""
        assert all((review.export.parent / image).is_file() for image in row["images"])
    assert not (store / "builds/people/release").exists()

    # Asked again before anybody has decided, it waits on, and starts nothing.
    before = files_below(store)
    assert "wait for review" in error_line(mirsb(*BUILD, "--store", store), exit_code=3)
    assert files_below(store) == before

    # Some decisions are not all.
    some = tmp_path / "some.jsonl"
    some.write_text(decide(review, tmp_path / "all.jsonl", "reject", "accept").read_text().split("\n", 2)[0] + "\n")
    done = mirsb("review", "import", "people", some, "--store", store)
    assert done.returncode == 0, all_of(done)
    assert f"{len(rows) - 1} instances still await review" in done.stdout
    waiting = build(*BUILD, "--store", store)
    assert f"{len(rows) - 1} instances wait for review" in error_line(waiting, exit_code=3)

    # The rest: two more are not accepted.
    decided = decide(review, tmp_path / "rest.jsonl", "reject", "revise", "accept")
    assert mirsb("review", "import", "people", decided, "--store", store).returncode == 0
    done = build(*BUILD, "--store", store)
    assert done.returncode == 0, all_of(done)
    released = store / "builds/people/release/1"
    stories = [json.loads(line) for line in (released / "provenance.jsonl").read_text().splitlines()]
    assert {story["candidate"]["id"] for story in stories} == {row["instance"] for row in rows[2:]}

    # Nothing says that it was simulated, and nobody's name is told.
    assert json.loads((released / "manifest.json").read_text())["simulated_review"] is False
    assert "simulated" not in (released / "README.md").read_text().lower()
    assert "simulated" not in done.stdout
    assert '"ann"' not in (released / "provenance.jsonl").read_text()
    status = json.loads(mirsb("status", "people", "--store", store, "--json").stdout)
    assert (status["accepted"], status["rejected"], status["to_revise"]) == (len(rows) - 2, 1, 1)
    assert status["awaiting_review"] == 0

    # The same file imported again changes nothing, and nothing is left to do.
    before = files_below(store)
    again = mirsb("review", "import", "people", decided, "--store", store)
    assert again.returncode == 0, all_of(again)
    assert "nothing changed" in again.stdout
    done = mirsb(*BUILD, "--store", store)
    assert "nothing was left to do" in done.stdout
    assert files_below(store) == before

    # Published to a folder it is the same, file by file.
    target = tmp_path / "published"
    done = mirsb("publish", "people", "--to", target, "--store", store)
    assert done.returncode == 0, all_of(done)
    assert contents(target) == contents(released)
    assert "is not empty" in error_line(mirsb("publish", "people", "--to", tmp_path, "--store", store), exit_code=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_changed_mind_makes_a_second_release_and_leaves_the_first(
    review: Review, store: Path, program: Program, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    build = prefect_server.program
    for file, word in (("first.jsonl", "accept"), ("second.jsonl", "reject")):
        decided = decide(review, tmp_path / file, word, "accept")
        done = program("review", "import", "people", decided, "--store", store)
        assert done.returncode == 0, all_of(done)
        assert build(*BUILD, "--store", store).returncode == 0
    first, second = (json.loads((store / f"builds/people/release/{n}/manifest.json").read_text()) for n in (1, 2))
    assert (first["instances"], second["instances"]) == (len(review.rows), len(review.rows) - 1)


def test_an_import_that_cannot_tell_prefect_keeps_the_decisions_and_says_so(
    review: Review, store: Path, program: Program, tmp_path: Path
) -> None:
    nobody = f"http://127.0.0.1:{free_port()}/api"
    decided = decide(review, tmp_path / "decided.jsonl", "accept")
    done = program("review", "import", "people", decided, "--store", store, PREFECT_API_URL=nobody)
    assert done.returncode == 0, all_of(done)
    assert f"Prefect at {nobody} could not be told" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(list((store / "builds/people/review").glob("decisions-*"))) == 1
