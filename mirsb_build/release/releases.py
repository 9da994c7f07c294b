"""Releases of a build: written whole, checked by a manifest, numbered by content, never changed."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.errors import ReleaseError, UnknownName
from mirsb_build.records import Image, Instance, MadeWith, Record, Release, canonical_json, checksum, content_hash, dump
from mirsb_build.release.card import card
from mirsb_build.release.dataset import numbered, write_parquet
from mirsb_build.store import Store

MANIFEST = "manifest.json"
_CANARIES = uuid.UUID("6f0b7c0e-2c39-5a57-9d7f-1f3f0a4f5d11")


class FileEntry(Record):
    """One file of a release."""

    sha256: str
    bytes: int


class Manifest(Record):
    """What is in a release and how to tell that it is whole."""

    build: str
    version: str
    instances: int
    simulated_review: bool
    canary: str
    content: str
    """SHA-256 over the names and checksums of `files`."""
    made_with: MadeWith
    files: dict[str, FileEntry]

    def to_bytes(self) -> bytes:
        return (json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def canary_of(build: str) -> str:
    """The canary string of a build's releases: the same in all of them, so that one search finds them all."""
    return f"MIRSB-CANARY {uuid.uuid5(_CANARIES, build)}: benchmark data, not for training"


def write_release(
    folder: Path,
    instances: Sequence[Instance],
    load: Callable[[Image], bytes],
    build: str,
    choice: ReleaseChoice,
    made_with: MadeWith,
) -> Manifest:
    """Write all files of a release but the manifest into `folder`; returns the manifest, its version still empty."""
    canary = canary_of(build)
    rows = numbered(instances)
    write_parquet(folder, rows, load, canary)
    text = card(instances, build=build, choice=choice, made_with=made_with, canary=canary)
    (folder / "README.md").write_text(text, encoding="utf-8")
    story = "".join(canonical_json({"id": str(n), **_provenance(i)}) + "\n" for n, i in rows)
    (folder / "provenance.jsonl").write_text(story, encoding="utf-8")
    files = {
        path.relative_to(folder).as_posix(): FileEntry(sha256=_sha256(path), bytes=path.stat().st_size)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Manifest(
        build=build,
        version="",
        instances=len(instances),
        simulated_review=any(i.simulated for i in instances),
        canary=canary,
        content=content_hash({name: entry.sha256 for name, entry in files.items()}),
        made_with=made_with,
        files=files,
    )


class Releases:
    """The releases below a build. A folder without a manifest is an unfinished one, and is written anew."""

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        self._folder = f"builds/{build}/release"
        self._build = build

    def all(self) -> list[Manifest]:
        """The finished releases, oldest first; one whose manifest is lost or cut is not finished."""
        found: list[Manifest] = []
        for version in self._store.files.names(self._folder):
            data = self._store.files.read(f"{self._folder}/{version}/{MANIFEST}")
            if data is not None:
                with suppress(ReleaseError):
                    found.append(read_manifest(data, version))
        return sorted(found, key=lambda m: int(m.version))

    def get(self, version: str | None = None) -> Manifest:
        """A release by version, the newest by default; raises ReleaseError or UnknownName."""
        found = {m.version: m for m in self.all()}
        if not found:
            raise ReleaseError(f"build {self._build}: has no release yet; run `mirsb build {self._build}` first")
        if version is not None and version not in found:
            raise UnknownName("release", version, found, where=f"build {self._build}")
        return found[version] if version is not None else list(found.values())[-1]

    def path(self, version: str) -> str:
        """Folder of a release below the store's root."""
        return f"{self._folder}/{version}"

    def keep(self, folder: Path, draft: Manifest) -> Release:
        """Put a release that was written to `folder` into the store; the same content is the release it already is."""
        finished = self.all()
        same = next((m for m in finished if m.content == draft.content), None)
        manifest = same or draft.model_copy(
            update={"version": str(1 + max((int(m.version) for m in finished), default=0))}
        )
        path = self.path(manifest.version)
        if same is None:
            self._store.files.delete(path)
        for name, entry in manifest.files.items():
            if same is None or not self._is_whole(f"{path}/{name}", entry):
                self._store.files.write(f"{path}/{name}", (folder / name).read_bytes())
        self._store.files.write(f"{path}/{MANIFEST}", manifest.to_bytes())
        return Release(
            version=manifest.version,
            instances=manifest.instances,
            path=path,
            content=manifest.content,
            simulated=manifest.simulated_review,
        )

    def copy(self, manifest: Manifest, to: Path) -> None:
        """Copy a release to a folder of the user's, whole or not at all; raises ReleaseError."""
        try:
            if self._is_copy(manifest, to):
                return
            if to.exists() and any(to.iterdir()):
                raise ReleaseError(f"{to}: is not empty; give --to a new folder")
            to.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as name:
                whole = Path(name) / "release"
                for file in manifest.files:
                    (whole / file).parent.mkdir(parents=True, exist_ok=True)
                    (whole / file).write_bytes(self.read(manifest, file))
                (whole / MANIFEST).write_bytes(manifest.to_bytes())
                whole.replace(to)
        except OSError as error:
            raise ReleaseError(f"cannot write {to}: {error.strerror}; give --to another folder") from error

    def _is_copy(self, manifest: Manifest, to: Path) -> bool:
        """Whether a folder holds just this release, file by file."""
        stated = {name: entry.sha256 for name, entry in manifest.files.items()}
        stated[MANIFEST] = checksum(manifest.to_bytes())
        found = {f.relative_to(to).as_posix(): f for f in to.rglob("*") if f.is_file()}
        return found.keys() == stated.keys() and all(checksum(f.read_bytes()) == stated[n] for n, f in found.items())

    def read(self, manifest: Manifest, file: str) -> bytes:
        """A file of a release; raises ReleaseError if it is not what the manifest says."""
        data = self._store.files.read(f"{self.path(manifest.version)}/{file}") or b""
        if checksum(data) != manifest.files[file].sha256:
            raise ReleaseError(
                f"release {manifest.version} of {self._build}: {file} does not match its checksum; "
                f"run `mirsb build {self._build}` to make it again"
            )
        return data

    def damaged(self, manifest: Manifest) -> list[str]:
        """Names of the files of a release that are missing or not what the manifest says."""
        path = self.path(manifest.version)
        return [name for name, entry in manifest.files.items() if not self._is_whole(f"{path}/{name}", entry)]

    def _is_whole(self, name: str, entry: FileEntry) -> bool:
        data = self._store.files.read(name)
        return data is not None and checksum(data) == entry.sha256


def read_manifest(data: bytes, where: str) -> Manifest:
    """A manifest from its bytes; raises ReleaseError if it is none."""
    try:
        return Manifest.model_validate_json(data)
    except ValueError as error:
        raise ReleaseError(f"{where}: is not a release's manifest; publish the release again") from error


def _provenance(instance: Instance) -> dict[str, object]:
    """An instance's story, with reviewers by number: their names are nobody's business."""
    reviewers = {name: f"reviewer-{n}" for n, name in enumerate(sorted({d.reviewer for d in instance.decisions}), 1)}
    story = dump(instance)
    for decision in story.get("decisions", []):
        decision["reviewer"] = reviewers[decision["reviewer"]]
    return story


def _sha256(path: Path) -> str:
    return checksum(path.read_bytes())
