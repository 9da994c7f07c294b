"""The store: calls, blobs, shards and documents, each read back whole or known to be damaged."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.errors import Damaged
from mirsb_build.records import SeedOrder, checksum, content_hash
from mirsb_build.store import Shard, Store

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)
calls = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), json_values, max_size=4)
KEY = content_hash("a request")


@pytest.fixture(params=["folder", "memory"])
def any_store(request: pytest.FixtureRequest, store: Store, memory_store: Store) -> Store:
    return store if request.param == "folder" else memory_store


def orders(*counts: int) -> list[SeedOrder]:
    return [SeedOrder(risk_category="Privacy", count=n) for n in counts]


def write(store: Store, n: int, *counts: int, round: int = 0) -> None:
    store.write_shard("demo", "seeds", round, n, Shard("key", orders(*counts)))


def counts(store: Store, round: int = 0) -> list[int]:
    return [record.count for record in store.records("demo", "seeds", round, SeedOrder)]


# Calls


@settings(max_examples=30)
@given(call=calls)
def test_a_call_is_read_back_as_it_was_kept(any_store: Store, call: dict[str, Any]) -> None:
    key = content_hash(uuid.uuid4().hex)
    assert any_store.get_call(key) is None
    any_store.put_call(key, call)
    assert any_store.get_call(key) == call


@settings(max_examples=40)
@given(data=st.data())
def test_a_call_whose_file_was_cut_is_as_good_as_none_and_can_be_made_again(store: Store, data: st.DataObject) -> None:
    store.put_call(KEY, {"reply": "A notebook."})
    name = f"cache/{KEY[:2]}/{KEY}.json"
    whole = store.files.read(name)
    assert whole is not None
    store.files.write(name, whole[: data.draw(st.integers(0, len(whole) - 1))])
    assert store.get_call(KEY) is None
    store.put_call(KEY, {"reply": "A notebook."})
    assert store.get_call(KEY) == {"reply": "A notebook."}


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b'{"sha256": "0", "call": {}}', b'"text"', b"\xff"])
def test_a_call_whose_file_holds_something_else_is_as_good_as_none(store: Store, data: bytes) -> None:
    store.files.write(f"cache/{KEY[:2]}/{KEY}.json", data)
    assert store.get_call(KEY) is None


def test_a_call_whose_reply_was_changed_is_as_good_as_none(store: Store) -> None:
    store.put_call(KEY, {"reply": "A notebook."})
    name = f"cache/{KEY[:2]}/{KEY}.json"
    store.files.write(name, (store.files.read(name) or b"").replace(b"notebook", b"textbook"))
    assert store.get_call(KEY) is None


# Blobs


@settings(max_examples=30)
@given(data=st.binary(max_size=100))
def test_a_blob_is_named_by_what_it_holds(any_store: Store, data: bytes) -> None:
    digest = any_store.put_blob(data, "png")
    assert digest == checksum(data) == any_store.put_blob(data, "png")
    assert any_store.get_blob(digest, "png") == data
    assert any_store.files.exists(f"blobs/{digest[:2]}/{digest}.png")


@pytest.mark.parametrize("damage", [b"", b"some pixe", b"other pixels", b"SOME pixels"])
def test_a_blob_that_is_not_what_its_name_says_is_damaged_until_it_is_put_again(store: Store, damage: bytes) -> None:
    digest = store.put_blob(b"some pixels", "png")
    store.files.write(store.blob_name(digest, "png"), damage)
    with pytest.raises(Damaged, match=f"{digest}.png: does not match its checksum"):
        store.get_blob(digest, "png")
    assert store.put_blob(b"some pixels", "png") == digest
    assert store.get_blob(digest, "png") == b"some pixels"


def test_a_blob_that_is_gone_is_damaged(store: Store) -> None:
    with pytest.raises(Damaged, match="is missing from store"):
        store.get_blob(checksum(b"never put"), "png")


def test_a_blob_is_there_when_it_has_the_length_that_is_expected(any_store: Store) -> None:
    digest = any_store.put_blob(b"some pixels", "png")
    assert any_store.has_blob(digest, "png", 11) and any_store.has_blob(digest, "png")
    assert not any_store.has_blob(digest, "png", 12)
    assert not any_store.has_blob(digest, "webp") and not any_store.has_blob(checksum(b"never put"), "png")
    any_store.forget_blob(digest, "png")
    assert not any_store.has_blob(digest, "png", 11)


@pytest.mark.parametrize("damage", [None, b"some pixe"])
def test_a_blob_that_was_lost_or_cut_before_the_store_was_opened_is_missing(any_store: Store, damage: bytes) -> None:
    digest = any_store.put_blob(b"some pixels", "png")
    name = any_store.blob_name(digest, "png")
    any_store.files.delete(name)
    if damage:
        any_store.files.write(name, damage)
    opened = Store(any_store.url)
    assert not opened.has_blob(digest, "png", 11)
    assert opened.put_blob(b"some pixels", "png") == digest
    assert opened.has_blob(digest, "png", 11) and opened.get_blob(digest, "png") == b"some pixels"


def test_a_blob_that_another_process_wrote_after_the_listing_is_there(any_store: Store) -> None:
    digest = checksum(b"some pixels")
    assert not any_store.has_blob(digest, "png")
    Store(any_store.url).put_blob(b"some pixels", "png")
    assert any_store.has_blob(digest, "png", 11)


def test_what_a_blob_holds_is_verified_when_it_is_read_and_not_before(any_store: Store) -> None:
    digest = any_store.put_blob(b"some pixels", "png")
    any_store.files.write(any_store.blob_name(digest, "png"), b"SOME pixels")
    opened = Store(any_store.url)
    assert opened.has_blob(digest, "png", 11)
    with pytest.raises(Damaged):
        opened.get_blob(digest, "png")
    assert not opened.has_blob(digest, "png", 11)


def test_a_blob_that_is_there_is_not_written_again(store: Store, folder: Path) -> None:
    file = folder / store.blob_name(store.put_blob(b"some pixels", "png"), "png")
    before = file.stat().st_mtime_ns, file.stat().st_ino
    store.put_blob(b"some pixels", "png")
    assert (file.stat().st_mtime_ns, file.stat().st_ino) == before


# Shards


def test_a_shard_is_read_back_and_a_missing_one_is_none(any_store: Store) -> None:
    write(any_store, 0, 1, 2)
    shard = any_store.read_shard("demo", "seeds", 0, 0, SeedOrder)
    assert shard is not None
    assert (shard.key, shard.records) == ("key", orders(1, 2))
    assert any_store.read_shard("demo", "seeds", 0, 1, SeedOrder) is None
    assert any_store.read_shard("demo", "seeds", 1, 0, SeedOrder) is None
    assert any_store.read_shard("other", "seeds", 0, 0, SeedOrder) is None


def test_a_truncated_shard_is_none_so_that_its_stage_makes_it(store: Store) -> None:
    write(store, 0, 1, 2)
    name = "builds/demo/seeds/round-0/shard-0000.jsonl"
    store.files.write(name, (store.files.read(name) or b"")[:-10])
    assert store.read_shard("demo", "seeds", 0, 0, SeedOrder) is None


def test_the_records_of_a_round_come_in_the_order_of_its_shards(any_store: Store) -> None:
    for n in (10, 2, 1, 0):
        write(any_store, n, n)
    for n in range(3, 10):
        write(any_store, n, n)
    assert counts(any_store) == list(range(11))


def test_a_damaged_shard_is_left_out_of_the_records_and_the_others_are_not(store: Store) -> None:
    for n in range(3):
        write(store, n, n)
    store.files.write("builds/demo/seeds/round-0/shard-0001.jsonl", b"cut")
    assert counts(store) == [0, 2]


def test_shards_that_are_done_before_an_earlier_one_are_read(store: Store) -> None:
    """Two workers: the second shard is finished, the first is not yet."""
    write(store, 1, 1)
    write(store, 3, 3)
    assert counts(store) == [1, 3]


def test_a_smaller_build_forgets_the_shards_it_has_no_use_for(any_store: Store) -> None:
    for n in range(4):
        write(any_store, n, n)
    any_store.keep_shards("demo", "seeds", 0, 2)
    assert counts(any_store) == [0, 1]


def test_a_smaller_build_forgets_them_also_when_an_earlier_one_is_not_done(store: Store) -> None:
    write(store, 0, 0)
    write(store, 5, 5)
    store.keep_shards("demo", "seeds", 0, 2)
    assert store.files.names("builds/demo/seeds/round-0") == ["shard-0000.jsonl"]


def test_a_shorter_build_forgets_the_later_rounds_of_the_stages_it_names(any_store: Store) -> None:
    for round in (1, 2, 3, 10):
        write(any_store, 0, round, round=round)
    assert any_store.rounds("demo", "seeds") == [1, 2, 3, 10]
    any_store.keep_rounds("demo", ["seeds"], last=2)
    assert any_store.rounds("demo", "seeds") == [1, 2]
    assert counts(any_store, round=2) == [2]


# Documents


def test_builds_are_those_that_have_a_build_json(any_store: Store) -> None:
    assert any_store.builds() == []
    any_store.write_json("builds/b/build.json", {})
    any_store.write_json("builds/a/build.json", {})
    write(any_store, 0, 1)  # below `demo`, which has none
    assert any_store.builds() == ["a", "b"]


@settings(max_examples=30)
@given(value=json_values)
def test_a_document_is_read_back_as_it_was_written(any_store: Store, value: object) -> None:
    any_store.write_json("builds/demo/build.json", value)
    assert any_store.read_json("builds/demo/build.json") == value


@pytest.mark.parametrize("data", [b"", b'{"build": ', b"\xff\xfe"])
def test_a_document_that_was_cut_is_none(store: Store, data: bytes) -> None:
    assert store.read_json("builds/demo/build.json") is None
    store.files.write("builds/demo/build.json", data)
    assert store.read_json("builds/demo/build.json") is None


def test_documents_are_for_people_too(store: Store) -> None:
    store.write_json("note.json", {"b": "grün", "a": 1})
    assert (store.files.read("note.json") or b"").decode() == '{\n  "b": "grün",\n  "a": 1\n}\n'
