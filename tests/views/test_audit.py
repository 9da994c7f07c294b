"""Audit: an instance's whole story, every hash of it recomputed, and the same as PROV-JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.errors import UnknownName, UsageError
from mirsb_build.history import History
from mirsb_build.records import Candidate, checksum
from mirsb_build.review import DecisionLog
from mirsb_build.store import Store
from mirsb_build.views import Verification, find, prov, story, verify
from tests.factories import decision, finish, order, run


@pytest.fixture(scope="module")
def history(finished: Context) -> History:
    """A finished build to be looked at only."""
    return History(finished.store, "tiny")


@pytest.fixture
def copy(finished_copy: Context) -> History:
    """The same in a folder of its own, to be tampered with."""
    return History(finished_copy.store, "tiny")


def late(history: History) -> Candidate:
    """An accepted instance that took several rounds."""
    return next(i.candidate for i in history.instances.values() if i.candidate.round > 1 and i.outcome == "accepted")


def blob_of(folder: Path, one: Candidate) -> Path:
    image = one.pictures[0].image
    assert image is not None
    return folder / f"blobs/{image.id[:2]}/{image.id}.png"


def call_of(folder: Path, one: Candidate) -> Path:
    id = one.calls[0].id
    return folder / f"cache/{id[:2]}/{id}.json"


# Stories


def test_a_story_has_every_round_with_its_replies_images_verdicts_and_decisions(history: History) -> None:
    one = late(history)
    told = story(history, one)
    assert (told.instance, told.state, told.outcome) == (one.id, "passed", "accepted")
    assert told.seed_query == one.seed_query
    assert [attempt.round for attempt in told.rounds] == list(range(1, one.round + 1))
    for before, after in pairwise(told.rounds):
        assert after.parent == before.revision
        assert after.feedback and before.failures
    for attempt in told.rounds:
        assert attempt.verdicts
        for call in attempt.calls:
            reply = told.replies[call.id]
            assert reply is not None and checksum(reply) == call.reply_hash
        for shown in attempt.pictures:
            assert shown.image is not None and shown.image.sources
    origin = one.seed_query.origin.call
    assert origin is not None and one.seed_query.text in (told.replies[origin.id] or "")
    assert [d.checksum for d in told.decisions] == [one.revision]


def test_a_candidate_that_never_passed_has_a_story_too(finished: Context, history: History) -> None:
    failed = next(c for c in history.candidates.values() if history.state(c) != "passed")
    told = story(history, failed)
    assert (told.state, told.outcome, told.decisions) == ("failed", "not reviewed", ())
    assert len(told.rounds) == 3


def test_a_candidate_is_found_by_its_id_or_how_it_begins(history: History) -> None:
    one = late(history)
    assert find(history, one.id).id == find(history, one.id[:12]).id == one.id


def test_what_could_be_several_is_asked_for_more_and_what_is_none_is_named(history: History) -> None:
    first = next(iter(history.candidates))
    twins = [id for id in history.candidates if id[0] == first[0]]
    if len(twins) > 1:
        with pytest.raises(UsageError, match=f"instance '{first[0]}' could be .*; give more of the id"):
            find(history, first[0])
    with pytest.raises(UsageError, match="could be"):
        find(history, "")
    typo = first[:-1] + ("0" if first[-1] != "0" else "1")
    with pytest.raises(UnknownName, match=f"build tiny: unknown instance '{typo}'; did you mean '{first}'"):
        find(history, typo)


# Hashes


def test_every_hash_of_a_finished_build_holds(history: History) -> None:
    found = verify(history)
    assert found.findings == ()
    assert found.hashes > 18 * 5
    one = verify(history, late(history))
    assert one.findings == ()
    assert 0 < one.hashes < found.hashes


def wheres(found: Verification) -> str:
    return "\n".join(f"{finding.where}: {finding.problem}" for finding in found.findings)


def edit_json(file: Path, change: Callable[[Any], None]) -> None:
    """Change a call and make its own checksum fit, as somebody would who wants not to be found out."""
    call = json.loads(file.read_text())["call"]
    change(call)
    Store(str(file.parents[2])).put_call(file.stem, call)


def test_a_changed_reply_is_found(copy: History, folder: Path) -> None:
    one = late(copy)
    edit_json(call_of(folder, one), lambda call: call.update(reply=call["reply"].replace("a", "e")))
    found = verify(copy, one)
    assert "revisor's call" in wheres(found)
    assert "reply is stated as" in wheres(found)


def test_a_changed_request_is_found(copy: History, folder: Path) -> None:
    one = late(copy)
    edit_json(call_of(folder, one), lambda call: call["request"]["messages"][1].update(content="Be kind."))
    assert "request is stated as" in wheres(verify(copy, one))


@pytest.mark.parametrize("damage", [b"", b"{}", None])
def test_a_call_that_is_lost_or_cut_is_found(copy: History, folder: Path, damage: bytes | None) -> None:
    one = late(copy)
    file = call_of(folder, one)
    file.unlink() if damage is None else file.write_bytes(damage)
    assert "is missing from the cache, or damaged there" in wheres(verify(copy, one))


@pytest.mark.parametrize("damage", ["cut", "gone", "other"])
def test_a_damaged_blob_is_found_and_the_others_hold(copy: History, folder: Path, damage: str) -> None:
    one = late(copy)
    file = blob_of(folder, one)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-9] if damage == "cut" else b"other")
    found = verify(copy, one)
    assert len(found.findings) >= 1
    assert all("picture" in finding.where for finding in found.findings)
    assert file.name in wheres(found)


def rewrite_shard(folder: Path, stage: str, change: Callable[[str], str]) -> None:
    """Change the records of a stage's shards and make their own checksums fit."""
    for file in folder.glob(f"builds/tiny/{stage}/round-*/shard-*.jsonl"):
        head, _, body = file.read_text().partition("\n")
        body = change(body)
        file.write_text(json.dumps({**json.loads(head), "sha256": checksum(body)}) + "\n" + body)


@pytest.mark.parametrize(
    ("stage", "old", "new", "told"),
    [
        ("filter", '"prompt":"', '"prompt":"Kindly: ', "checksum is stated as"),
        ("filter", '"parent":"', '"parent":"0', "parent is stated as"),
        ("seeds", '"text":"', '"text":"Kindly: ', "id is stated as"),
        ("review_import", '"checksum":"', '"checksum":"0', "checksum is stated as"),
    ],
)
def test_a_changed_record_is_found_though_its_shard_was_made_to_fit(
    finished_copy: Context, folder: Path, stage: str, old: str, new: str, told: str
) -> None:
    rewrite_shard(folder, stage, lambda body: body.replace(old, new))
    assert told in wheres(verify(History(finished_copy.store, "tiny")))


def test_changed_view_hashes_are_found(finished_copy: Context, folder: Path) -> None:
    zeros = f'"view_hashes":"{"0" * 768}"'
    rewrite_shard(folder, "filter", lambda body: re.sub('"view_hashes":"[0-9a-f]*"', zeros, body))
    assert "view hashes is stated as" in wheres(verify(History(finished_copy.store, "tiny")))


def test_a_damaged_shard_is_found(finished_copy: Context, folder: Path) -> None:
    shard = next(folder.glob("builds/tiny/filter/round-1/shard-*.jsonl"))
    shard.write_bytes(shard.read_bytes()[:-5])
    assert "filter/round-1/shard-" in wheres(verify(History(finished_copy.store, "tiny")))


def test_a_changed_decision_is_found(folder: Path) -> None:
    build = open_context(order(folder, "review.mode=people", "limits.candidates=4"))
    run(build)
    history = History(build.store, "tiny")
    passed = [i.candidate for i in history.instances.values()]
    DecisionLog(build.store, "tiny").append([decision(one) for one in passed])
    run(build)
    assert verify(History(build.store, "tiny")).findings == ()
    [log] = folder.glob("builds/tiny/review/decisions-*.jsonl")
    log.write_text(log.read_text().replace('"accept"', '"reject"', 1))
    assert log.name in wheres(verify(History(build.store, "tiny")))


@pytest.mark.parametrize("name", ["README.md", "provenance.jsonl", "data/train-00000-of-00001.parquet"])
def test_a_changed_file_of_a_release_is_found(copy: History, folder: Path, name: str) -> None:
    file = folder / "builds/tiny/release/1" / name
    file.write_bytes(file.read_bytes() + b"\n")
    assert name in wheres(verify(copy))


def test_a_changed_file_of_an_earlier_release_is_found(folder: Path) -> None:
    for title in ("One", "Other"):
        build = finish(folder, "relation_types=[Analogy]", f"release.title={title}")
    (folder / "builds/tiny/release/1/README.md").write_text("changed")
    assert "README.md" in wheres(verify(History(build.store, "tiny")))


@pytest.mark.parametrize(
    "pattern", ["blobs/*/*.png", "builds/tiny/release/1/README.md", "builds/tiny/synthesize/round-1/shard-*.jsonl"]
)
def test_what_an_audit_found_damaged_is_made_again_by_the_build(
    finished_copy: Context, folder: Path, pattern: str
) -> None:
    """As the message of `mirsb audit --verify` says."""
    file = next(folder.glob(pattern))
    file.write_bytes(file.read_bytes()[:-5])
    assert verify(History(finished_copy.store, "tiny")).findings
    file.unlink()
    run(open_context(order(folder)))
    assert wheres(verify(History(finished_copy.store, "tiny"))) == ""


# PROV


def test_prov_has_the_entities_activities_and_agents_of_the_story(history: History) -> None:
    one = late(history)
    told = story(history, one)
    graph = prov(told)
    entities, activities, agents = graph["entity"], graph["activity"], graph["agent"]
    assert entities[f"mirsb:seed-{one.seed_query.id}"] == {"mirsb:text": one.seed_query.text}
    for attempt in told.rounds:
        assert entities[f"mirsb:revision-{attempt.revision[:16]}"]["mirsb:round"] == attempt.round
        for call in attempt.calls:
            assert activities[f"mirsb:call-{call.id[:16]}"] == {"mirsb:prompt": call.prompt_hash}
        for shown in attempt.pictures:
            assert shown.image is not None
            assert entities[f"mirsb:image-{shown.image.id[:16]}"]["mirsb:sha256"] == shown.image.id
            for source in shown.image.sources:
                assert entities[f"mirsb:source-{source.sha256[:16]}"]["mirsb:licence"] == source.licence
    assert set(agents) == {"mirsb:offline/grammar-1", *(f"mirsb:{d.reviewer}" for d in told.decisions)}
    assert any(a.get("mirsb:simulated") for a in activities.values())


def test_every_end_of_a_prov_relation_is_there(history: History) -> None:
    graph = prov(story(history, late(history)))
    assert set(graph) == {
        "prefix", "entity", "activity", "agent",
        "wasGeneratedBy", "wasAssociatedWith", "wasDerivedFrom", "used",
    }  # fmt: skip
    kinds = {"entity": "entity", "generatedEntity": "entity", "usedEntity": "entity"}
    kinds |= {"activity": "activity", "agent": "agent"}
    for relation in ("wasGeneratedBy", "wasAssociatedWith", "wasDerivedFrom", "used"):
        for link in graph[relation].values():
            assert link
            for end, name in link.items():
                assert name in graph[kinds[end.removeprefix("prov:")]], (relation, end)
    assert json.loads(json.dumps(graph)) == graph


def test_each_revision_is_derived_from_its_images_and_the_one_before_back_to_the_seed(history: History) -> None:
    one = late(history)
    told = story(history, one)
    derived = {
        (link["prov:generatedEntity"], link["prov:usedEntity"]) for link in prov(told)["wasDerivedFrom"].values()
    }
    for attempt in told.rounds:
        for image in (p.image for p in attempt.pictures if p.image):
            drawn = f"mirsb:image-{image.id[:16]}"
            assert (f"mirsb:revision-{attempt.revision[:16]}", drawn) in derived
            assert all((drawn, f"mirsb:source-{s.sha256[:16]}") in derived for s in image.sources)
    chain = [f"mirsb:seed-{one.seed_query.id}", *(f"mirsb:revision-{a.revision[:16]}" for a in told.rounds)]
    assert {(after, before) for before, after in pairwise(chain)} <= derived
