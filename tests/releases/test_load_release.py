"""load_release: the same typed instances from a folder, a build in a store, and a Hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirsb_build.build.context import Context
from mirsb_build.errors import ReleaseError, UnknownName
from mirsb_build.history import History
from mirsb_build.records import checksum
from mirsb_build.releases import load_release
from mirsb_build.store import Store


@pytest.fixture
def exported(finished_copy: Context, tmp_path: Path) -> Path:
    """A folder with a release of 18 candidates."""
    load_release("tiny", finished_copy.store).copy(tmp_path / "out")
    return tmp_path / "out"


def test_a_folder_and_a_build_give_the_same_instances(exported: Path, finished_copy: Context) -> None:
    of_folder, of_store = load_release(exported), load_release("tiny/1", finished_copy.store)
    assert (of_folder.name, of_store.name) == (str(exported), "tiny/1")
    assert of_folder.manifest == of_store.manifest
    assert list(of_folder.instances()) == list(of_store.instances())
    assert len(list(of_folder.instances())) == of_folder.manifest.instances


def test_instances_are_what_the_build_accepted(exported: Path, finished_copy: Context) -> None:
    accepted = {i.id: i for i in History(finished_copy.store, "tiny").instances.values() if i.outcome == "accepted"}
    release = load_release(exported)
    rows = list(release.instances(images=True))
    assert {row.instance for row in rows} == set(accepted)
    for row in rows:
        candidate = accepted[row.instance].candidate
        assert row.cell == candidate.cell
        assert (row.revised_prompt, row.original_question) == (candidate.prompt, candidate.seed_query.text)
        assert tuple(checksum(image) for image in row.images) == row.image_sha256
        assert release.manifest.numbers_of(row.cell)[row.instance] == int(row.id)
    assert {i.id for i in release.provenance()} == set(accepted)


def test_images_are_read_only_where_they_are_asked_for(exported: Path) -> None:
    assert all(row.images == () for row in load_release(exported).instances())


def test_a_folder_that_is_named_like_a_build_does_not_hide_it(
    finished_copy: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_release("tiny", finished_copy.store).name == "tiny/1"


def test_what_is_not_there_is_named(finished_copy: Context, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="unknown release 'tyni'; did you mean 'tiny'"):
        load_release("tyni", finished_copy.store)
    with pytest.raises(UnknownName, match="build tiny: unknown release '7'"):
        load_release("tiny/7", finished_copy.store)
    with pytest.raises(ReleaseError, match=r"there is no manifest.json, so this is no finished release"):
        load_release(tmp_path)


def test_a_newer_schema_is_refused_and_not_misread(exported: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    (exported / "manifest.json").write_text(json.dumps(manifest | {"schema_version": 9}))
    with pytest.raises(ReleaseError, match="is of schema version 9, and this mirsb-build reads up to 1; update it"):
        load_release(exported)


def test_missing_rows_columns_and_files_are_named(exported: Path) -> None:
    [file] = (exported / "data").iterdir()
    table = pq.read_table(file)
    pq.write_table(table.slice(1), file)
    with pytest.raises(ReleaseError, match=r"has \d+ instances, and its manifest says \d+"):
        list(load_release(exported).instances())
    pq.write_table(table.drop_columns(["revised_prompt"]), file)
    with pytest.raises(ReleaseError, match="has no column 'revised_prompt', so it is of another schema"):
        list(load_release(exported).instances())
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(ReleaseError, match="cannot be read"):
        list(load_release(exported).instances())
    file.unlink()
    release = load_release(exported)
    with pytest.raises(ReleaseError, match="is missing"):
        list(release.instances())
    assert release.missing() == release.damaged() == ["data/train-00000-of-00001.parquet"]


def test_two_folders_of_one_name_are_two_data_sets(exported: Path, finished_copy: Context, tmp_path: Path) -> None:
    """`datasets` knows a folder by its last name and the version of its config."""
    datasets = pytest.importorskip("datasets")
    first, second = tmp_path / "a/1", tmp_path / "b/1"
    shutil.copytree(exported, first)
    shutil.copytree(exported, second)
    [file] = (second / "data").iterdir()
    pq.write_table(pq.read_table(file).slice(1), file)
    card = (second / "README.md").read_text()
    line = next(line for line in card.splitlines() if "version: 1.0." in line)
    (second / "README.md").write_text(card.replace(line, line.rsplit(".", 1)[0] + ".7"))
    cache = str(tmp_path / "cache")
    sizes = [len(datasets.load_dataset(str(f), split="train", cache_dir=cache)) for f in (first, second)]
    assert sizes[0] == sizes[1] + 1


def test_a_build_in_an_object_store_is_read_in_the_same_way(finished_copy: Context, memory_store: Store) -> None:
    source = finished_copy.store
    for name in ("manifest.json", *load_release("tiny", source).manifest.files):
        data = source.files.read(f"builds/tiny/release/1/{name}")
        assert data
        memory_store.files.write(f"builds/tiny/release/1/{name}", data)
    copied = load_release("tiny", memory_store)
    assert list(copied.instances()) == list(load_release("tiny", source).instances())
    assert copied.damaged() == []
