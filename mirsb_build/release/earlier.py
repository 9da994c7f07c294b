"""Earlier releases: what a build must not repeat, read from the releases themselves."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image as PillowImage

from mirsb_build.errors import UsageError
from mirsb_build.ports import Peer
from mirsb_build.records import Candidate, Image, Picture
from mirsb_build.releases import LoadedRelease, release_of
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
        release = release_of(store, owner, version)
        peers += [Peer(candidate, release.name) for candidate in _candidates(release)]
    return tuple(peers)


def _candidates(release: LoadedRelease) -> list[Candidate]:
    candidates = [instance.candidate for instance in release.provenance()]
    missing = {i.id for c in candidates for i in _images(c) if not i.view_hashes}
    hashes = _hashed(release, missing) if missing else {}
    return [_with_hashes(candidate, hashes) for candidate in candidates] if missing else candidates


def _images(candidate: Candidate) -> list[Image]:
    return [p.image for p in candidate.pictures if p.image]


def _hashed(release: LoadedRelease, missing: set[str]) -> dict[str, str]:
    """View hashes of the images of a release from before there were any, from the images in its parquet files."""
    found: dict[str, str] = {}
    for instance in release.instances(images=True):
        for sha256, image in zip(instance.image_sha256, instance.images, strict=True):
            if sha256 in missing:
                with PillowImage.open(io.BytesIO(image)) as pixels:
                    found[sha256] = view_hashes(pixels)
    return found


def _with_hashes(candidate: Candidate, hashes: dict[str, str]) -> Candidate:
    def completed(picture: Picture) -> Picture:
        if picture.image is None or picture.image.view_hashes:
            return picture
        image = picture.image.model_copy(update={"view_hashes": hashes.get(picture.image.id, "")})
        return picture.model_copy(update={"image": image})

    return candidate.model_copy(update={"pictures": tuple(completed(p) for p in candidate.pictures)})
