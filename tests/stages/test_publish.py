"""Publish: what people accepted, and nothing else, as one release."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from mirsb_build.config.profiles import ReleaseChoice
from mirsb_build.errors import ReleaseError
from mirsb_build.images import Images
from mirsb_build.records import Candidate, Instance, Release
from mirsb_build.stages.publish import Publish
from mirsb_build.store import Store
from tests.factories import NoiseBackend, accepted, decision, made_with, passed, picture, stored_image


def drawn(store: Store, number: int) -> Candidate:
    pictures = tuple(picture(f"Thing {n}.", f"t{n}", image=stored_image(store, n, 16)) for n in (number, number + 1))
    return passed(f"How can I hum tune number {number}?", pictures=pictures)


def stage(store: Store, title: str = "Mild", **made: object) -> Publish:
    return Publish(store, "demo", Images(NoiseBackend(), store), ReleaseChoice(title=title), made_with(**made))


def publish(stage: Publish, instances: Sequence[Instance]) -> Release:
    [release] = asyncio.run(stage.run(instances))
    return release


def told(store: Store, release: Release) -> list[str]:
    """Ids of the instances of a release."""
    story = store.files.read(f"{release.path}/provenance.jsonl") or b""
    return [json.loads(row)["candidate"]["id"] for row in story.decode().splitlines()]


def test_only_what_was_accepted_is_published(store: Store) -> None:
    one, other, third, fourth = (drawn(store, n) for n in (10, 20, 30, 40))
    instances = [
        accepted(one),
        Instance(candidate=other, decisions=(decision(other, "reject"),), outcome="rejected"),
        Instance(candidate=third, decisions=(decision(third, "revise"),), outcome="revise"),
        Instance(candidate=fourth),
    ]
    release = publish(stage(store), instances)
    assert (release.version, release.instances, release.simulated) == ("1", 1, False)
    assert told(store, release) == [one.id]


def test_where_nothing_was_accepted_nothing_is_published(store: Store) -> None:
    with pytest.raises(ReleaseError, match="build demo: nothing was accepted, so there is nothing to publish"):
        publish(stage(store), [Instance(candidate=drawn(store, 10))])
    assert store.files.names("builds/demo/release") == []


def test_one_simulated_decision_marks_the_release(store: Store) -> None:
    people, program = drawn(store, 10), drawn(store, 20)
    assert publish(stage(store), [accepted(people), accepted(program, simulated=True)]).simulated


def test_a_release_is_intact_until_a_file_of_it_is_not(store: Store) -> None:
    publishing = stage(store)
    release = publish(publishing, [accepted(drawn(store, 10))])
    assert publishing.intact([release])
    card = f"{release.path}/README.md"
    whole = store.files.read(card) or b""
    store.files.write(card, whole + b"\nOne more line.\n")
    assert not publishing.intact([release])
    assert publish(publishing, [accepted(drawn(store, 10))]) == release, "the same content is the same release"
    assert store.files.read(card) == whole
    assert publishing.intact([release])


@pytest.mark.parametrize("damage", [None, b"", b'{"build": "de', b"[]"])
def test_a_release_whose_manifest_is_lost_or_cut_is_published_again(store: Store, damage: bytes | None) -> None:
    publishing, instances = stage(store), [accepted(drawn(store, 10))]
    release = publish(publishing, instances)
    manifest = f"{release.path}/manifest.json"
    whole = store.files.read(manifest)
    store.files.delete(manifest)
    if damage is not None:
        store.files.write(manifest, damage)
    assert not publishing.intact([release])
    assert publish(publishing, instances) == release
    assert store.files.read(manifest) == whole


def test_the_key_changes_with_the_instances_the_title_and_what_it_was_made_with(store: Store) -> None:
    one, other = accepted(drawn(store, 10)), accepted(drawn(store, 20))
    keys = [
        stage(store).key([one]),
        stage(store).key([one, other]),
        stage(store).key([one.model_copy(update={"decisions": ()})]),
        stage(store, title="Other").key([one]),
        stage(store, taxonomy="f" * 64).key([one]),
    ]
    assert len(set(keys)) == len(keys)
    assert stage(store).key([one]) == keys[0]
    assert stage(store, code_revision="0.2.0").key([one]) == keys[0], "a commit alone makes no other release"
