"""Releases of a build: written whole, checked by a manifest, numbered by content, never changed."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.records import Image, Instance, MadeWith, Release, canonical_json, content_hash, dump
from mirsb_build.release.card import card
from mirsb_build.release.dataset import write_parquet
from mirsb_build.release.numbers import merge_numbers, number
from mirsb_build.releases import MANIFEST, FileEntry, LoadedRelease, Manifest, release_path, releases_of
from mirsb_build.store import Store

_CANARIES = uuid.UUID("6f0b7c0e-2c39-5a57-9d7f-1f3f0a4f5d11")


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
    earlier: Sequence[Manifest] = (),
) -> Manifest:
    """Write all files of a release but the manifest into `folder`; returns the manifest, its version still empty.

    `earlier` are the releases of the build that there are: instances keep the numbers that they had in those.
    """
    canary = canary_of(build)
    given = merge_numbers(earlier)
    rows = number(instances, given)
    write_parquet(folder, rows, load, canary)
    data = content_hash({path.name: _sha256(path) for path in sorted((folder / "data").iterdir())})
    text = card(instances, build=build, choice=choice, made_with=made_with, canary=canary, data=data)
    (folder / "README.md").write_text(text, encoding="utf-8")
    with (folder / "provenance.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(canonical_json({"id": str(n), **_provenance(i)}) + "\n" for n, i in rows)
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
        numbers=merge_numbers(earlier, rows),
    )


class Releases:
    """The releases below a build. A folder without a manifest is an unfinished one, and is written anew."""

    def __init__(self, store: Store, build: str) -> None:
        self._store = store
        self._build = build

    def all(self) -> list[LoadedRelease]:
        """The finished releases, oldest first."""
        return releases_of(self._store, self._build)

    def keep(self, folder: Path, draft: Manifest) -> Release:
        """Put a release that was written to `folder` into the store; the same content is the release it already is."""
        finished = self.all()
        same = next((release for release in finished if release.manifest.content == draft.content), None)
        newest = max((int(release.manifest.version) for release in finished), default=0)
        manifest = same.manifest if same else draft.model_copy(update={"version": str(1 + newest)})
        path = release_path(self._build, manifest.version)
        if same is None:
            self._store.files.delete(path)
        for name in same.damaged() if same else manifest.files:
            self._store.files.put(f"{path}/{name}", folder / name)
        self._store.files.write(f"{path}/{MANIFEST}", manifest.to_bytes())
        return Release(
            version=manifest.version,
            instances=manifest.instances,
            path=path,
            content=manifest.content,
            simulated=manifest.simulated_review,
        )


def _provenance(instance: Instance) -> dict[str, object]:
    """An instance's story, with reviewers by number: their names are nobody's business."""
    reviewers = {name: f"reviewer-{n}" for n, name in enumerate(sorted({d.reviewer for d in instance.decisions}), 1)}
    story = dump(instance)
    for decision in story.get("decisions", []):
        decision["reviewer"] = reviewers[decision["reviewer"]]
    return story


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
