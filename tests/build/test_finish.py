"""The end of a run: a finished build is known at once, and anything that has changed is noticed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.build.finish import nothing_left
from mirsb_build.history import History
from mirsb_build.views import funnel, read_funnel
from tests.factories import finish, order, stop_after


def test_nothing_is_left_of_a_finished_build_and_it_is_counted_as_it_ended(finished: Context) -> None:
    counted = nothing_left(open_context(finished.order))
    assert counted == funnel(History(finished.store, finished.name)) == read_funnel(finished.store, finished.name)


def test_something_is_left_of_a_build_that_was_stopped(folder: Path) -> None:
    stop_after(open_context(order(folder)), 4)
    assert nothing_left(open_context(order(folder))) is None


@pytest.mark.parametrize(
    "setting", ["release.title=Other", "checks.lexical_leakage.threshold=0.9", "limits.max_iterations=1"]
)
def test_a_changed_setting_leaves_something_to_do(finished_copy: Context, folder: Path, setting: str) -> None:
    assert nothing_left(open_context(order(folder))) is not None
    assert nothing_left(open_context(order(folder, setting))) is None


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\n")


def flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "change"),
    [
        ("seeds/round-0/*", flip_a_bit),
        ("decompose/round-1/*", Path.unlink),
        ("filter/round-1/*", flip_a_bit),
        ("review_import/round-0/*", longer),
        ("release/1/data/*", Path.unlink),
        ("release/1/data/*", longer),
        ("report.html", Path.unlink),
        ("build.json", Path.unlink),
        ("passes.jsonl", Path.unlink),
        ("../../blobs/*/*.png", Path.unlink),
        ("../../blobs/*/*.png", longer),
    ],
)
def test_what_is_missing_or_altered_is_noticed(
    finished_copy: Context, folder: Path, pattern: str, change: Callable[[Path], None]
) -> None:
    change(next(folder.joinpath("builds/tiny").glob(pattern)))
    assert nothing_left(open_context(order(folder))) is None
    finish(folder)
    assert nothing_left(open_context(order(folder))) is not None, "and mended by a run"
