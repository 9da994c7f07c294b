"""`mirsb demo`: all seven stages on a fresh machine, and the release that comes out of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.program import Demo, Program, all_of, files_below

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
CATEGORIES = ("Hate_Speech", "Harassment", "Violence", "Self-Harm", "Illegal_Activities", "Privacy")
RELATION_TYPES = (
    "Temporal_Continuity",
    "Temporal_Jump",
    "Spatial_Juxtaposition",
    "Spatial_Embedding",
    "Relevance",
    "Complementarity",
    "Analogy",
    "Causality",
    "Decomposition",
)
RELEASED_COLUMNS = {
    "id": "string",
    "category": "string",
    "original_question": "string",
    "relationship_type": "string",
    "revised_prompt": "string",
    "image_descriptions": ["string"],
    "image_keywords": ["string"],
    "images": ["Image"],
    "num_images": "int",
    "iteration": "int",
}
"""The published schema (METHOD.md), in its order."""


@pytest.fixture(scope="module")
def loaded(demo: Demo, program: Program) -> dict[str, Any]:
    """The release as `datasets.load_dataset(dir)` gives it to somebody who knows nothing of us."""
    return json.loads(python(program, HERE / "load_release.py", demo.release))


@pytest.fixture(scope="module")
def rows(loaded: dict[str, Any]) -> list[dict[str, Any]]:
    return loaded["rows"]


def python(program: Program, *arguments: str | Path) -> str:
    """What a Python script of ours prints."""
    done = program.run(Path(sys.executable).name, *arguments)
    assert done.returncode == 0, all_of(done)
    return done.stdout


def test_the_demo_succeeds_and_says_where_the_release_and_the_report_are(demo: Demo) -> None:
    assert demo.done.returncode == 0, all_of(demo.done)
    assert str(demo.release) in demo.done.stdout
    assert str(demo.store / "builds/demo/report.html") in demo.done.stdout
    assert (demo.store / "builds/demo/report.html").stat().st_size > 0


def test_prefect_says_nothing(demo: Demo) -> None:
    said = (demo.done.stdout + demo.done.stderr).lower()
    for word in ("prefect", "traceback", "cancellederror", "warning"):
        assert word not in said


def test_all_seven_stages_show_that_they_are_done(demo: Demo) -> None:
    for stage in ("seeds", "decompose", "synthesize", "filter", "review export", "review import", "publish"):
        assert any(line.startswith(stage) for line in demo.done.stderr.splitlines()), stage


def test_the_release_has_the_ten_published_columns_in_their_order_and_types(loaded: dict[str, Any]) -> None:
    columns = loaded["columns"]
    assert list(columns)[:10] == list(RELEASED_COLUMNS)
    assert {name: columns[name] for name in RELEASED_COLUMNS} == RELEASED_COLUMNS


def test_the_release_has_one_split_named_train(loaded: dict[str, Any]) -> None:
    assert loaded["splits"] == ["train"]


def test_every_category_has_an_instance_of_every_relation_type(rows: list[dict[str, Any]]) -> None:
    cells = Counter((row["category"], row["relationship_type"]) for row in rows)
    assert set(cells) == {(category, relation) for category in CATEGORIES for relation in RELATION_TYPES}


def test_ids_are_integers_in_text_counted_in_each_cell(rows: list[dict[str, Any]]) -> None:
    cells: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        assert row["id"] == str(int(row["id"]))
        cells.setdefault((row["category"], row["relationship_type"]), []).append(int(row["id"]))
    for ids in cells.values():
        assert sorted(ids) == list(range(1, len(ids) + 1))


def test_every_instance_has_two_to_four_images_that_decode_as_png(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert 2 <= row["num_images"] <= 4
        assert row["num_images"] == len(row["images"])
        assert row["num_images"] == len(row["image_descriptions"]) == len(row["image_keywords"])
        assert all(image == {"format": "PNG", "size": [512, 512]} for image in row["images"])


def test_every_instance_has_words_where_the_schema_wants_words(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        words = [row["original_question"], row["revised_prompt"], *row["image_descriptions"], *row["image_keywords"]]
        assert all(isinstance(text, str) and text.strip() for text in words)


def test_the_refinement_loop_shows_rounds_one_to_three(
    demo: Demo, program: Program, rows: list[dict[str, Any]]
) -> None:
    assert {row["iteration"] for row in rows} == {1, 2, 3}
    status = json.loads(program("status", "demo", "--store", demo.store, "--json").stdout)
    assert set(status["passed_in_round"]) == {"1", "2", "3"}
    assert status["candidates"] == status["passed"] + status["failed"] + status["dead"] + status["open"]


def test_the_simulated_review_is_marked_in_every_record_the_card_and_the_manifest(
    demo: Demo, rows: list[dict[str, Any]]
) -> None:
    assert all(row["simulated_review"] is True for row in rows)
    card = (demo.release / "README.md").read_text()
    assert "simulated-review" in card.split("---")[1]
    assert "Simulated review" in card
    assert json.loads((demo.release / "manifest.json").read_text())["simulated_review"] is True
    for line in (demo.release / "provenance.jsonl").read_text().splitlines():
        assert all(decision["simulated"] for decision in json.loads(line)["decisions"])
    assert "simulated" in demo.done.stdout


def test_the_card_shows_no_text_of_an_instance(demo: Demo, rows: list[dict[str, Any]]) -> None:
    card = (demo.release / "README.md").read_text()
    for row in rows:
        assert row["original_question"] not in card
        assert row["revised_prompt"] not in card


def test_a_simulated_release_cannot_be_pushed_to_a_hub(demo: Demo, program: Program) -> None:
    done = program("publish", "demo", "--repo", "nobody/nothing", "--store", demo.store)
    assert done.returncode in (1, 2), all_of(done)
    assert "simulated" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_every_hash_of_the_demo_holds(demo: Demo, program: Program) -> None:
    done = program("audit", "demo", "--verify", "--store", demo.store)
    assert done.returncode == 0, all_of(done)


def test_a_second_demo_has_nothing_to_do_writes_nothing_and_starts_no_prefect(
    demo: Demo, program: Program, tmp_path: Path
) -> None:
    before = files_below(demo.store)
    home = tmp_path / "prefect"
    done = program("demo", "--store", demo.store, PREFECT_HOME=str(home))
    assert done.returncode == 0, all_of(done)
    assert "nothing was left to do" in done.stdout
    assert done.stderr == ""
    assert files_below(demo.store) == before
    assert not (home / "prefect.db").exists()


def test_the_release_can_be_extracted_as_the_benchmark_does_it(
    demo: Demo, program: Program, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    python(program, HERE / "extract_release.py", demo.release, tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    expected = {f"{category}/{relation}_final.json" for category in CATEGORIES for relation in RELATION_TYPES}
    for row in rows:
        folder = f"{row['category']}/images/{row['relationship_type']}"
        stem = f"{row['relationship_type']}_{row['id']}"
        expected |= {f"{folder}/{stem}_{k}.png" for k in range(row["num_images"])}
    assert written == expected
    for category in CATEGORIES:
        for relation in RELATION_TYPES:
            extracted = json.loads((tmp_path / category / f"{relation}_final.json").read_text())
            of_the_cell = [r for r in rows if (r["category"], r["relationship_type"]) == (category, relation)]
            assert [r["id"] for r in extracted] == [int(r["id"]) for r in of_the_cell]
            for one, row in zip(extracted, of_the_cell, strict=True):
                assert one["revised_prompt"] == row["revised_prompt"]
                assert all((tmp_path / category / "images" / image).is_file() for image in one["images"])


def test_the_release_is_readable_by_whoever_may_read_the_store(demo: Demo) -> None:
    modes = {path.stat().st_mode & 0o444 for path in demo.release.rglob("*") if path.is_file()}
    assert modes == {demo.store.stat().st_mode & 0o444}
