"""Earlier releases: what a build must not repeat, read from the releases themselves."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from typing import Any, cast

import pyarrow.parquet as pq
from PIL import Image as PillowImage

from mirsb_build.errors import ReleaseError, UsageError
from mirsb_build.ports import Peer
from mirsb_build.records import Candidate, Image, Instance, Picture
from mirsb_build.release.releases import Manifest, Releases
from mirsb_build.similarity.image_hashes import view_hashes
from mirsb_build.store import Store


def released_peers(store: Store, build: str, names: Sequence[str]) -> tuple[Peer, ...]:
    """The candidates of the releases `BUILD` (its newest) or `BUILD/VERSION`, in the order given.

    Raises UsageError for a release of `build` itself, which repeats all of it, and ReleaseError or UnknownName for one
    that is not there or not whole.
    """
    peers: list[Peer] = []
    for name in dict.fromkeys(names):
        owner, _, version = name.partition("/")
        if owner == build:
            raise UsageError(f"release.earlier names {name!r}, a release of this build itself; take it out")
        releases = Releases(store, owner)
        manifest = releases.get(version or None)
        found = _candidates(releases, manifest, f"release {manifest.version} of {owner}")
        peers += [Peer(candidate, f"{owner}/{manifest.version}") for candidate in found]
    return tuple(peers)


def _candidates(releases: Releases, manifest: Manifest, where: str) -> list[Candidate]:
    try:
        lines = releases.read(manifest, "provenance.jsonl").splitlines()
        candidates = [_candidate(line) for line in lines]
    except (KeyError, ValueError) as error:
        raise ReleaseError(f"{where}: its provenance cannot be read; publish that release again") from error
    missing = {i.id for c in candidates for i in _images(c) if not i.view_hashes}
    hashes = _hashed(releases, manifest, missing) if missing else {}
    return [_with_hashes(candidate, hashes) for candidate in candidates] if missing else candidates


def _candidate(line: bytes) -> Candidate:
    story: dict[str, Any] = json.loads(line)
    return Instance.model_validate({name: value for name, value in story.items() if name != "id"}).candidate


def _images(candidate: Candidate) -> list[Image]:
    return [p.image for p in candidate.pictures if p.image]


def _hashed(releases: Releases, manifest: Manifest, missing: set[str]) -> dict[str, str]:
    """View hashes of the images of a release from before there were any, from the images in its parquet files."""
    found: dict[str, str] = {}
    for name in manifest.files:
        if not name.endswith(".parquet"):
            continue
        file: Any = pq.ParquetFile(io.BytesIO(releases.read(manifest, name)))
        for batch in file.iter_batches(batch_size=64, columns=["image_sha256", "images"]):
            for row in cast(list[dict[str, Any]], batch.to_pylist()):
                for sha256, image in zip(row["image_sha256"], row["images"], strict=True):
                    if sha256 in missing:
                        with PillowImage.open(io.BytesIO(image["bytes"])) as pixels:
                            found[sha256] = view_hashes(pixels)
    return found


def _with_hashes(candidate: Candidate, hashes: dict[str, str]) -> Candidate:
    def completed(picture: Picture) -> Picture:
        if picture.image is None or picture.image.view_hashes:
            return picture
        image = picture.image.model_copy(update={"view_hashes": hashes.get(picture.image.id, "")})
        return picture.model_copy(update={"image": image})

    return candidate.model_copy(update={"pictures": tuple(completed(p) for p in candidate.pictures)})
