"""Loading a release from a folder, a build in a store, or a Hub."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from mirsb_build.errors import ReleaseError, UnknownName
from mirsb_build.releases.hub import REPOSITORY, download
from mirsb_build.releases.loaded import LoadedRelease
from mirsb_build.releases.manifest import MANIFEST
from mirsb_build.store import Files, Store


def release_path(build: str, version: str) -> str:
    """Folder of a release below a store's root."""
    return f"builds/{build}/release/{version}"


def releases_of(store: Store, build: str) -> list[LoadedRelease]:
    """The finished releases of a build, oldest first; one whose manifest is lost or cut is not finished."""
    found: list[LoadedRelease] = []
    for version in store.files.names(f"builds/{build}/release"):
        if version.isdecimal():
            with suppress(ReleaseError):
                found.append(LoadedRelease(store.files, release_path(build, version), f"{build}/{version}"))
    return sorted(found, key=lambda release: int(release.manifest.version))


def load_release(place: str | Path, store: Store | None = None) -> LoadedRelease:
    """A release: a folder, ORG/NAME on a Hub, or BUILD or BUILD/VERSION in a store (the newest without a version).

    A folder with a manifest comes first, then a build of `store`, then the Hub of HF_ENDPOINT.
    Raises ReleaseError for what is there and no finished release, UnknownName for what is not there.
    """
    name, folder = str(place), Path(place)
    build, _, version = name.partition("/")
    of_store = store is not None and bool(store.files.names(f"builds/{build}"))
    if (folder / MANIFEST).is_file() or (folder.is_dir() and not of_store):
        return LoadedRelease(Files(str(folder.resolve())), ".", name)
    if store is not None and of_store:
        return release_of(store, build, version)
    if REPOSITORY.fullmatch(name):
        return LoadedRelease(Files(str(download(name))), ".", name)
    known = store.builds() if store else ()
    raise UnknownName("release", name, known, where=f"store {store.url}" if store else "this folder")


def release_of(store: Store, build: str, version: str = "") -> LoadedRelease:
    """A release of a build in a store, the newest by default; raises ReleaseError or UnknownName."""
    found = {release.manifest.version: release for release in releases_of(store, build)}
    if not found:
        raise ReleaseError(f"build {build}: has no release yet; run `mirsb build {build}` first")
    if version and version not in found:
        raise UnknownName("release", version, found, where=f"build {build}")
    return found[version] if version else list(found.values())[-1]
