"""An instance's story, and whether every hash in it still holds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from PIL import Image as PillowImage

from mirsb_build.errors import Damaged, UnknownName, UsageError
from mirsb_build.history import STAGES, History
from mirsb_build.records import (
    Candidate,
    Decision,
    Image,
    ModelCall,
    Record,
    Request,
    SeedQuery,
    checksum,
    content_hash,
)
from mirsb_build.releases import releases_of
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes


class Story(Record):
    """Where each word and pixel of a candidate came from, oldest first."""

    instance: str
    state: str
    seed_query: SeedQuery
    rounds: tuple[Candidate, ...]
    decisions: tuple[Decision, ...]
    outcome: str
    replies: dict[str, str | None]
    """Model call -> the reply that the cache has."""


class Finding(Record):
    """A hash that does not hold."""

    where: str
    problem: str


class Verification(Record):
    """What recomputing the hashes found."""

    build: str
    hashes: int
    """How many were recomputed."""
    findings: tuple[Finding, ...]


class Title(Record):
    """One line of a list of instances to choose from."""

    instance: str
    risk_category: str
    relation_type: str
    seed_query: str
    state: str
    outcome: str
    rounds: int


def list_stories(history: History) -> list[Title]:
    """A line for every candidate of a build, in the build's order."""
    return [
        Title(
            instance=id,
            risk_category=candidate.risk_category,
            relation_type=candidate.relation_type,
            seed_query=candidate.seed_query.text,
            state=history.state(candidate),
            outcome=history.instances[id].outcome if id in history.instances else "not reviewed",
            rounds=len(history.attempts.get(id, ())),
        )
        for id, candidate in history.candidates.items()
    ]


def find(history: History, instance: str) -> Candidate:
    """The candidate with that id, or the one whose id begins so; raises UnknownName or UsageError."""
    if instance in history.candidates:
        return history.candidates[instance]
    hits = [id for id in history.candidates if id.startswith(instance)]
    if len(hits) > 1:
        raise UsageError(f"instance {instance!r} could be {', '.join(hits[:3])}, ...; give more of the id")
    if not hits:
        raise UnknownName("instance", instance, history.candidates, where=f"build {history.build}")
    return history.candidates[hits[0]]


def story(history: History, candidate: Candidate) -> Story:
    """All that the store has of a candidate."""
    attempts = tuple(history.attempts.get(candidate.id, ()))
    instance = history.instances.get(candidate.id)
    origin = candidate.seed_query.origin.call
    calls = [*([origin] if origin else []), *(call for attempt in attempts for call in attempt.calls)]
    return Story(
        instance=candidate.id,
        state=history.state(candidate),
        seed_query=candidate.seed_query,
        rounds=attempts,
        decisions=instance.decisions if instance else (),
        outcome=instance.outcome if instance else "not reviewed",
        replies={call.id: (history.store.get_call(call.id) or {}).get("reply") for call in calls},
    )


def verify(history: History, candidate: Candidate | None = None) -> Verification:
    """Recompute the hashes of one candidate, or of the whole build and its releases."""
    chosen = [candidate] if candidate else list(history.candidates.values())
    checked = [finding for one in chosen for finding in _verify_candidate(history, one)]
    if candidate is None:
        checked += [*_verify_files(history), *_verify_releases(history)]
    return Verification(build=history.build, hashes=len(checked), findings=tuple(f for f in checked if f is not None))


def _verify_candidate(history: History, candidate: Candidate) -> Iterator[Finding | None]:
    """A finding, or None for a hash that holds, for every hash of a candidate."""
    name = f"candidate {candidate.id}"
    seed = candidate.seed_query
    yield _same(f"seed query {seed.id}", "id", seed.id, seed.identity())
    yield _same(name, "id", candidate.id, candidate.identity())
    if seed.origin.call:
        yield from _verify_call(history, seed.origin.call, f"seed query {seed.id}")
    parent: str | None = None
    for attempt in history.attempts.get(candidate.id, ()):
        where = f"{name}, round {attempt.round}"
        yield _same(where, "parent", attempt.parent, parent)
        for call in (*attempt.calls, *(call for verdict in attempt.verdicts for call in verdict.calls)):
            yield from _verify_call(history, call, where)
        for number, picture in enumerate(attempt.pictures, 1):
            if picture.image:
                yield from _verify_image(history, picture.image, f"{where}, picture {number}")
        parent = attempt.revision
    instance = history.reviewed.get(candidate.id)
    for decision in instance.decisions if instance else ():
        yield _same(f"{name}, decision of {decision.reviewer}", "checksum", decision.checksum, parent)


def _verify_files(history: History) -> Iterator[Finding | None]:
    """Every shard against the checksum in its first line, every file of decisions against the one in its name."""
    files, build = history.store.files, f"builds/{history.build}"
    for stage in STAGES:
        for round in history.store.rounds(history.build, stage):
            for name in files.names(f"{build}/{stage}/round-{round}"):
                where = f"{stage}/round-{round}/{name}"
                head, _, body = (files.read(f"{build}/{where}") or b"").partition(b"\n")
                yield None if checksum(body).encode() in head else Finding(where=where, problem="is damaged")
    for name in files.names(f"{build}/review"):
        whole = checksum(files.read(f"{build}/review/{name}") or b"")[:12] in name
        yield None if whole else Finding(where=f"review/{name}", problem="was changed since it was imported")


def _verify_releases(history: History) -> Iterator[Finding | None]:
    """Every file of every release against its manifest, and the newest manifest against the build's record of it."""
    contents = {release.version: release.content for release in history.releases}
    finished = {release.manifest.version: release for release in releases_of(history.store, history.build)}
    for version in history.store.files.names(f"builds/{history.build}/release"):
        where = f"release {version}"
        if version not in finished:
            yield Finding(where=where, problem="has no manifest that can be read, so it is not finished")
            continue
        manifest = finished[version].manifest
        content = content_hash({name: entry.sha256 for name, entry in manifest.files.items()})
        yield _same(where, "content", manifest.content, content)
        yield _same(where, "content", contents.get(version, content), content)
        damaged = set(finished[version].damaged())
        for name in manifest.files:
            problem = "does not match the checksum in the manifest"
            yield Finding(where=f"{where}, {name}", problem=problem) if name in damaged else None


def _verify_call(history: History, call: ModelCall, where: str) -> Iterator[Finding | None]:
    kept: dict[str, Any] | None = history.store.get_call(call.id)
    where = f"{where}, {call.role}'s call {call.id[:12]}"
    if kept is None:
        yield Finding(where=where, problem="is missing from the cache, or damaged there")
        return
    request = Request.model_validate({**kept["request"], "variables": {}})
    yield _same(where, "request", call.id, request.key)
    yield _same(where, "prompt template", call.prompt_hash, request.prompt_hash)
    yield _same(where, "reply", call.reply_hash, checksum(kept["reply"] or ""))


def _verify_image(history: History, image: Image, where: str) -> Iterator[Finding | None]:
    yield _same(where, "spec", image.spec.id, image.spec.identity())
    try:
        data = history.store.get_blob(image.id, image.extension)
    except Damaged as damage:
        yield Finding(where=where, problem=str(damage))
        return
    yield None  # the blob matched its name
    with PillowImage.open(io.BytesIO(data)) as pixels:
        yield _same(where, "perceptual hash", image.perceptual_hash, perceptual_hash(pixels))
        if image.view_hashes:
            yield _same(where, "view hashes", image.view_hashes, view_hashes(pixels))


def _same(where: str, what: str, stated: object, found: object) -> Finding | None:
    return None if stated == found else Finding(where=where, problem=f"{what} is stated as {stated}, but is {found}")
