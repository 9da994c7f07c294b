"""Errors: one line that names the thing and the way out, and the exit code that goes with it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build import errors
from mirsb_build.errors import BadFile, MirsbError, UnknownName, UsageError, WaitingForReview

FAMILY = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MirsbError)]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("ofline", "offline"), ("OFFLINE", "offline"), ("paper.", "paper"), ("opeani", "openai")],
)
def test_a_mistyped_name_is_answered_with_the_nearest_known_one(name: str, nearest: str) -> None:
    told = str(UnknownName("profile", name, ["offline", "openai", "paper"]))
    assert told == f"unknown profile {name!r}; did you mean {nearest!r}?"


def test_a_name_like_no_other_is_answered_with_all_that_there_are() -> None:
    assert str(UnknownName("profile", "zzz", ["paper", "offline"])).endswith("known: offline, paper")
    assert str(UnknownName("build", "zzz", [])).endswith("known: none")


def test_a_name_like_none_of_thousands_is_still_answered_in_a_line_that_can_be_read() -> None:
    told = str(UnknownName("instance", "zzz", [f"{n:016x}" for n in range(2676)]))
    assert len(told) < 1000


def test_an_unknown_name_says_where_it_stands() -> None:
    assert str(UnknownName("role", "judge", ["revisor"], where="mine.md")).startswith("mine.md: unknown role 'judge'")


def test_a_bad_file_is_named_with_its_line() -> None:
    assert str(BadFile("mine.yaml", "is not YAML", 3)) == "mine.yaml, line 3: is not YAML"
    assert str(BadFile("mine.yaml", "cannot be read")) == "mine.yaml: cannot be read"


@given(st.text(st.characters(codec="utf-8"), max_size=30), st.lists(st.text("abcdef", max_size=8), max_size=5))
def test_a_message_is_one_line_whatever_the_user_typed(name: str, known: list[str]) -> None:
    assert len(str(UnknownName("profile", name, known)).splitlines()) == 1


def test_exit_codes_tell_wrong_usage_from_failure_and_from_waiting() -> None:
    assert {kind.__name__: kind.exit_code for kind in FAMILY if not issubclass(kind, UsageError)} == {
        "MirsbError": 1,
        "BudgetReached": 4,
        "StoreError": 1,
        "Damaged": 1,
        "BuildLocked": 1,
        "ModelError": 1,
        "CannotJudge": 1,
        "ReleaseError": 1,
        "WaitingForReview": 3,
    }
    assert all(kind.exit_code == 2 for kind in FAMILY if issubclass(kind, UsageError))
    assert WaitingForReview.exit_code == 3


def test_the_tree_at_the_top_of_the_module_shows_the_whole_family() -> None:
    assert errors.__doc__
    assert [kind.__name__ for kind in FAMILY if kind.__name__ not in errors.__doc__] == []
