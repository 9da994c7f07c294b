"""Releases: whole, with true checksums, numbered by content, and copied out only as they are."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.errors import ReleaseError, UnknownName
from mirsb_build.records import Image, Instance, Release, checksum, content_hash
from mirsb_build.release import Releases, write_release
from mirsb_build.release.releases import canary_of
from mirsb_build.releases import LoadedRelease, Manifest, read_manifest, release_of
from mirsb_build.store import Store
from tests.factories import accepted, decision, files_in, made_with, passed, picture, stored_image


def drawn(store: Store, n: int, **said: Any) -> Instance:
    pictures = tuple(picture(f"Thing {k}.", f"t{k}", image=stored_image(store, 10 * n + k, 16)) for k in range(2))
    return accepted(passed(f"How can I hum tune {n}?", pictures=pictures), **said)


class Publishing:
    """Releases of one build, made from instances."""

    def __init__(self, store: Store, scratch: Path) -> None:
        self.store, self.scratch = store, scratch
        self.releases = Releases(store, "demo")
        self.made = 0

    def draft(self, instances: Sequence[Instance], title: str = "Mild") -> tuple[Path, Manifest]:
        def load(image: Image) -> bytes:
            return self.store.get_blob(image.id, image.extension)

        self.made += 1
        folder = self.scratch / f"draft-{self.made}"
        choice = ReleaseChoice(title=title)
        return folder, write_release(
            folder, instances, load, "demo", choice, made_with(), [r.manifest for r in self.releases.all()]
        )

    def get(self, version: str = "") -> LoadedRelease:
        return release_of(self.store, "demo", version)

    def keep(self, instances: Sequence[Instance], title: str = "Mild") -> Release:
        return self.releases.keep(*self.draft(instances, title))

    def instances(self, *numbers: int) -> list[Instance]:
        return [drawn(self.store, n) for n in numbers]


@pytest.fixture(params=["folder", "memory"])
def publishing(request: pytest.FixtureRequest, store: Store, memory_store: Store, tmp_path: Path) -> Publishing:
    return Publishing(store if request.param == "folder" else memory_store, tmp_path)


@pytest.fixture
def kept(store: Store, tmp_path: Path) -> Publishing:
    """One release in a local store."""
    publishing = Publishing(store, tmp_path)
    publishing.keep(publishing.instances(1, 2))
    return publishing


# Manifests and versions


def test_a_release_is_a_data_set_a_card_provenance_and_a_manifest_with_true_checksums(publishing: Publishing) -> None:
    release = publishing.keep(publishing.instances(1, 2))
    manifest = publishing.get().manifest
    assert set(manifest.files) == {"README.md", "provenance.jsonl", "data/train-00000-of-00001.parquet"}
    for name, entry in manifest.files.items():
        data = publishing.store.files.read(f"{release.path}/{name}")
        assert data is not None
        assert (checksum(data), len(data)) == (entry.sha256, entry.bytes)
    assert manifest.content == content_hash({name: entry.sha256 for name, entry in manifest.files.items()})
    assert (manifest.version, manifest.instances, manifest.build) == ("1", 2, "demo")
    assert manifest.canary == canary_of("demo")
    assert release.content == manifest.content
    assert publishing.get().damaged() == []


def test_the_same_content_is_the_same_version_and_other_content_the_next(publishing: Publishing) -> None:
    first = publishing.keep(publishing.instances(1, 2))
    assert publishing.keep(publishing.instances(1, 2)) == first
    second = publishing.keep(publishing.instances(1, 2, 3))
    assert (first.version, second.version) == ("1", "2")
    assert publishing.keep(publishing.instances(1, 2)) == first, "an earlier content is the earlier release"
    assert [r.manifest.version for r in publishing.releases.all()] == ["1", "2"]
    assert publishing.get().manifest.version == "2"
    assert publishing.get("1").manifest.content == first.content


def test_the_tenth_release_comes_after_the_ninth(publishing: Publishing) -> None:
    instances = publishing.instances(1)
    for n in range(11):
        publishing.keep(instances, title=f"Title {n}")
    assert [r.manifest.version for r in publishing.releases.all()] == [str(n) for n in range(1, 12)]
    assert publishing.get().manifest.version == "11"


def test_the_order_of_the_instances_does_not_matter(publishing: Publishing) -> None:
    instances = publishing.instances(*range(1, 9))
    folder, manifest = publishing.draft(instances)
    for seed in range(3):
        shuffled = random.Random(seed).sample(instances, len(instances))
        other, same = publishing.draft(shuffled)
        assert same == manifest
        assert files_in(other) == files_in(folder)


def test_other_decisions_make_another_release_and_reviewers_stay_unnamed(publishing: Publishing) -> None:
    [one] = publishing.instances(1)
    by_ada = publishing.keep([one])
    again = one.model_copy(update={"decisions": (decision(one.candidate), decision(one.candidate, reviewer="bo"))})
    assert publishing.keep([again]).version == "2"
    story = (publishing.store.files.read(f"{by_ada.path}/provenance.jsonl") or b"").decode()
    assert '"reviewer":"reviewer-1"' in story
    assert "ada" not in story.replace("metadata", "")


def test_provenance_tells_each_instance_by_its_number(publishing: Publishing) -> None:
    release = publishing.keep(publishing.instances(1, 2, 3))
    rows = (publishing.store.files.read(f"{release.path}/provenance.jsonl") or b"").decode().splitlines()
    told = [json.loads(row) for row in rows]
    assert [row["id"] for row in told] == ["1", "2", "3"]
    for row in told:
        assert Instance.model_validate({k: v for k, v in row.items() if k != "id"}).outcome == "accepted"


def test_a_build_has_one_canary_and_another_build_another() -> None:
    assert canary_of("demo") == canary_of("demo") != canary_of("other")
    assert canary_of("demo").startswith("MIRSB-CANARY ")


def test_a_build_without_a_release_says_so_and_an_unknown_version_is_named(publishing: Publishing) -> None:
    with pytest.raises(ReleaseError, match="build demo: has no release yet; run `mirsb build demo` first"):
        publishing.get()
    publishing.keep(publishing.instances(1))
    with pytest.raises(UnknownName, match="build demo: unknown release '7'; known: 1"):
        publishing.get("7")


def test_a_manifest_survives_its_bytes(kept: Publishing) -> None:
    manifest = kept.get().manifest
    assert read_manifest(manifest.to_bytes(), "here") == manifest
    with pytest.raises(ReleaseError, match=r"^here: is not a release's manifest"):
        read_manifest(manifest.to_bytes()[:-5], "here")


# Killed or tampered with


def test_a_release_without_a_manifest_is_unfinished_and_written_anew(kept: Publishing) -> None:
    files = kept.store.files
    whole = {name: files.read(f"builds/demo/release/1/{name}") for name in kept.get().manifest.files}
    files.delete("builds/demo/release/1/manifest.json")
    files.write("builds/demo/release/1/data/part-7", b"left behind")
    assert kept.releases.all() == []
    assert kept.keep(kept.instances(1, 2)).version == "1"
    assert {name: files.read(f"builds/demo/release/1/{name}") for name in whole} == whole
    assert files.names("builds/demo/release/1/data") == ["train-00000-of-00001.parquet"]


@pytest.mark.parametrize("name", ["README.md", "provenance.jsonl", "data/train-00000-of-00001.parquet"])
@pytest.mark.parametrize("how", ["changed", "cut", "gone"])
def test_a_file_that_was_tampered_with_is_named_and_made_again(kept: Publishing, name: str, how: str) -> None:
    release, path = kept.get(), f"builds/demo/release/1/{name}"
    whole = kept.store.files.read(path) or b""
    if how == "gone":
        kept.store.files.delete(path)
    else:
        kept.store.files.write(path, whole[:-3] if how == "cut" else whole[:-3] + b"xyz")
    assert release.damaged() == [name]
    with pytest.raises(ReleaseError, match=f"release demo/1: {name} does not match its checksum; delete"):
        kept.get().copy(kept.scratch / "out")
    assert not (kept.scratch / "out").exists()
    assert kept.keep(kept.instances(1, 2)).version == "1"
    assert kept.store.files.read(path) == whole
    assert release.damaged() == []


# Copies


def test_a_copy_is_the_release_and_copying_again_is_no_matter(kept: Publishing, tmp_path: Path, folder: Path) -> None:
    to = tmp_path / "out/mild"
    kept.get().copy(to)
    assert files_in(to) == files_in(folder / "builds/demo/release/1")
    kept.get().copy(to)
    assert [p.name for p in to.parent.iterdir()] == ["mild"], "nothing else is left behind"


def test_a_copy_goes_into_an_empty_folder_too(kept: Publishing, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    kept.get().copy(tmp_path / "out")
    assert (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize("there", ["notes.txt", "README.md", "manifest.json"])
def test_a_folder_that_is_not_empty_is_left_as_it_is(kept: Publishing, tmp_path: Path, there: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / there).write_text("mine")
    with pytest.raises(ReleaseError, match=f"^{tmp_path}/out"):
        kept.get().copy(tmp_path / "out")
    assert files_in(tmp_path / "out") == {there: b"mine"}


def test_another_release_is_not_copied_over_a_copy(kept: Publishing, tmp_path: Path) -> None:
    kept.get().copy(tmp_path / "out")
    before = files_in(tmp_path / "out")
    kept.keep(kept.instances(1, 2, 3))
    with pytest.raises(ReleaseError, match="is not empty; give --to a new folder"):
        kept.get().copy(tmp_path / "out")
    assert files_in(tmp_path / "out") == before


def test_copying_over_a_copy_that_was_changed_since_does_not_call_it_done(kept: Publishing, tmp_path: Path) -> None:
    kept.get().copy(tmp_path / "out")
    (tmp_path / "out/README.md").write_text("changed")
    with pytest.raises(ReleaseError):
        kept.get().copy(tmp_path / "out")


def test_a_place_that_cannot_be_written_is_named(kept: Publishing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    for to in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(ReleaseError, match=f"cannot write {to}: .*; give --to another folder"):
            kept.get().copy(to)
    assert (tmp_path / "file").read_text() == "a file"
