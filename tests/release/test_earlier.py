"""Earlier releases: what is read of them, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.errors import ReleaseError, UnknownName, UsageError
from mirsb_build.records import Candidate, Image, Instance
from mirsb_build.release import Releases, released_peers, write_release
from mirsb_build.store import Store
from tests.factories import accepted, made_with, passed, picture, stored_image


def published(store: Store, folder: Path, *numbers: int, hashed: bool = True) -> list[Candidate]:
    """The candidates of a release of build `mirsb-1`; without hashes it is one from before there were any."""

    def load(image: Image) -> bytes:
        return store.get_blob(image.id, image.extension)

    def drawn(n: int) -> Instance:
        images = [stored_image(store, 10 * n + k, 64) for k in range(2)]
        images = images if hashed else [i.model_copy(update={"view_hashes": ""}) for i in images]
        pictures = tuple(picture(f"Thing {k}.", f"t{k}", image=image) for k, image in enumerate(images))
        return accepted(passed(f"How can I hum tune {n}?", pictures=pictures))

    instances = [drawn(n) for n in numbers]
    choice = ReleaseChoice(title="Mild")
    Releases(store, "mirsb-1").keep(folder, write_release(folder, instances, load, "mirsb-1", choice, made_with()))
    return [instance.candidate for instance in instances]


def test_a_release_gives_its_candidates_as_they_were(store: Store, tmp_path: Path) -> None:
    candidates = published(store, tmp_path / "1", 1, 2)
    peers = released_peers(store, "mirsb-2", ["mirsb-1/1"])
    assert {p.candidate.id: p.candidate for p in peers} == {c.id: c for c in candidates}
    assert {p.release for p in peers} == {"mirsb-1/1"}


def test_a_build_without_a_version_stands_for_its_newest_release(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "1", 1)
    published(store, tmp_path / "2", 1, 2)
    assert {p.release for p in released_peers(store, "mirsb-2", ["mirsb-1"])} == {"mirsb-1/2"}
    assert len(released_peers(store, "mirsb-2", ["mirsb-1/1", "mirsb-1", "mirsb-1"])) == 3
    assert released_peers(store, "mirsb-2", []) == ()


def test_images_of_a_release_without_view_hashes_are_hashed_from_its_parquet_files(
    store: Store, tmp_path: Path
) -> None:
    old = published(store, tmp_path / "1", 1, hashed=False)
    expected = [stored_image(store, 10 + k, 64).view_hashes for k in range(2)]
    for image in (p.image for c in old for p in c.pictures if p.image):
        store.files.delete(store.blob_name(image.id, image.extension))
    [peer] = released_peers(store, "mirsb-2", ["mirsb-1"])
    assert [image.view_hashes for image in peer.images] == expected


def test_a_release_that_is_not_there_or_ones_own_is_refused(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "1", 1)
    with pytest.raises(UnknownName, match="7"):
        released_peers(store, "mirsb-2", ["mirsb-1/7"])
    with pytest.raises(ReleaseError, match="has no release yet"):
        released_peers(store, "mirsb-2", ["nobody"])
    with pytest.raises(UsageError, match="a release of this build itself"):
        released_peers(store, "mirsb-1", ["mirsb-1/1"])


def test_a_damaged_release_is_not_read(store: Store, tmp_path: Path) -> None:
    published(store, tmp_path / "1", 1)
    store.files.write("builds/mirsb-1/release/1/provenance.jsonl", b"{}\n")
    with pytest.raises(ReleaseError, match="does not match its checksum"):
        released_peers(store, "mirsb-2", ["mirsb-1"])
