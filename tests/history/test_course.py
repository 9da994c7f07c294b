"""The course of a build: its passes as they happened, kept as long as a run goes the same way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.history import (
    Course,
    Finish,
    Pass,
    delete_finish,
    passes_digest,
    read_finish,
    read_passes,
    write_finish,
)
from mirsb_build.store import Store

A, B, C, D = (Pass(stage="decompose", round=n, shards=(f"key {n}",)) for n in range(4))
passes = st.lists(st.sampled_from([A, B, C, D]), max_size=6)


def go(store: Store, way: list[Pass], *, to_the_end: bool = True) -> None:
    course = Course(store, "tiny")
    for entered in way:
        course.enter(entered)
    if to_the_end:
        course.end()


def test_a_run_that_goes_the_same_way_writes_nothing(store: Store) -> None:
    go(store, [A, B, C])
    store.files.write("builds/tiny/passes.jsonl", (store.files.read("builds/tiny/passes.jsonl") or b"") + b"\n")
    before = passes_digest(store, "tiny")
    go(store, [A, B, C])
    assert passes_digest(store, "tiny") == before


def test_what_an_earlier_run_did_counts_until_a_pass_differs(store: Store) -> None:
    go(store, [A, B, C])
    go(store, [A], to_the_end=False)
    assert read_passes(store, "tiny") == [A, B, C], "stopped on the same way"
    go(store, [A, D], to_the_end=False)
    assert read_passes(store, "tiny") == [A, D]


@given(one=passes, other=passes)
def test_in_the_end_the_course_is_that_of_the_newest_run(
    memory_store: Store, one: list[Pass], other: list[Pass]
) -> None:
    go(memory_store, one)
    go(memory_store, other)
    assert read_passes(memory_store, "tiny") == other


def test_a_course_that_was_cut_is_read_as_far_as_it_goes(store: Store) -> None:
    go(store, [A, B])
    whole = store.files.read("builds/tiny/passes.jsonl") or b""
    store.files.write("builds/tiny/passes.jsonl", whole[:-10])
    assert read_passes(store, "tiny") == [A]


def test_a_finish_holds_for_the_passes_that_it_was_written_after(store: Store) -> None:
    go(store, [A, B])
    finish = Finish(key="k", passes=passes_digest(store, "tiny"), shards={}, summary={})
    write_finish(store, "tiny", finish)
    assert read_finish(store, "tiny") == finish
    go(store, [A, D])
    assert read_finish(store, "tiny") is None
    go(store, [A, B])
    assert read_finish(store, "tiny") == finish
    delete_finish(store, "tiny")
    assert read_finish(store, "tiny") is None
