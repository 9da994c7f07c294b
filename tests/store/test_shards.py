"""Shards: read back as they were written, and known as damaged when a byte of them is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.errors import Damaged
from mirsb_build.records import Candidate, SeedOrder
from mirsb_build.store import Shard
from mirsb_build.store.shards import read_shard
from tests.factories import candidate, illustrated, passed

text = st.text(st.characters(codec="utf-8"), max_size=30)
orders = st.lists(st.builds(SeedOrder, risk_category=text, count=st.integers(0, 100)), max_size=4)


def read(data: bytes) -> Shard[SeedOrder]:
    return read_shard(data, SeedOrder, "shard-0000")


@given(key=text, records=orders)
def test_a_shard_is_read_back_as_it_was_written_whatever_a_model_wrote(key: str, records: list[SeedOrder]) -> None:
    shard = read(Shard(key, records).to_bytes())
    assert (shard.key, shard.records) == (key, records)


@pytest.mark.parametrize("mark", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00", "\ufeff"])
def test_no_line_mark_in_a_text_cuts_a_record(mark: str) -> None:
    shard = Shard("key", [candidate(prompt=f"Picture 1{mark}and picture 2")])
    assert read_shard(shard.to_bytes(), Candidate, "s").records == shard.records


def test_a_shard_of_no_records_is_a_shard() -> None:
    assert read(Shard("key", []).to_bytes()).records == []


SHARD = Shard("key", [SeedOrder(risk_category=c, count=3) for c in ("Privacy", "Violence")]).to_bytes()


@given(st.integers(0, len(SHARD) - 1))
def test_a_shard_cut_anywhere_is_damaged(length: int) -> None:
    with pytest.raises(Damaged, match="shard-0000"):
        read(SHARD[:length])


@given(st.integers(SHARD.index(b"\n") + 1, len(SHARD) - 1), st.integers(1, 255))
def test_a_shard_with_a_changed_byte_in_its_records_is_damaged(place: int, by: int) -> None:
    changed = bytearray(SHARD)
    changed[place] ^= by
    with pytest.raises(Damaged, match="shard-0000"):
        read(bytes(changed))


def test_a_shard_of_other_records_is_damaged() -> None:
    with pytest.raises(Damaged, match="cannot be read"):
        read_shard(SHARD, Candidate, "shard-0000")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]\n", b"null\n", b"5\nx", b'{"key": 1}\n', b"\xff\xfe\n"])
def test_what_is_no_shard_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        read(data)


def test_the_same_records_make_the_same_bytes() -> None:
    records = [passed(), illustrated(1, 2)]
    assert Shard("key", records).to_bytes() == Shard("key", [r.model_copy() for r in records]).to_bytes()
