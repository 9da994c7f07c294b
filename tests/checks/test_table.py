"""The table of checks: a profile chooses and sets them, except that the policy is always there."""

from __future__ import annotations

from typing import Any

import pytest

from mirsb_build.checks import ALWAYS, CHECKS, open_checks
from mirsb_build.config.profiles import load_profile
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import UnknownName, UsageError
from mirsb_build.store import Store
from tests.factories import candidate, judged_by, picture, stored_image


def names(choices: dict[str, dict[str, Any] | None], taxonomy: Taxonomy) -> list[str]:
    return [check.name for check in open_checks(choices, taxonomy)]


def test_checks_run_in_the_order_of_the_profile(taxonomy: Taxonomy) -> None:
    assert names({"structure": {}, "policy": {}, "lexical_leakage": {}}, taxonomy) == [
        "structure",
        "policy",
        "lexical_leakage",
    ]
    assert names({"lexical_leakage": {}, "structure": {}, "policy": {}}, taxonomy) == [
        "lexical_leakage",
        "structure",
        "policy",
    ]


def test_a_check_is_taken_out_with_null(taxonomy: Taxonomy) -> None:
    assert "leakage" not in names({"structure": {}, "lexical_leakage": None, "policy": {}}, taxonomy)


@pytest.mark.parametrize("choices", [{}, {"structure": {}}, {"policy": None}, {"structure": {}, "policy": None}])
def test_the_policy_cannot_be_taken_out(choices: dict[str, Any], taxonomy: Taxonomy) -> None:
    assert names(choices, taxonomy).count("policy") == 1


def test_no_profile_of_the_users_takes_the_policy_out(taxonomy: Taxonomy) -> None:
    profile = load_profile("offline", ("checks.policy=null", "checks.lexical_leakage=null"))
    assert sorted(names(profile.checks, taxonomy)) == [
        "image_duplicates",
        "integrity",
        "lexical_duplicates",
        "policy",
        "structure",
    ]


def test_options_are_what_the_profile_set_over_the_defaults(taxonomy: Taxonomy) -> None:
    found = {c.name: c.options for c in open_checks({"integrity": {"min_side": 64}, "lexical_leakage": {}}, taxonomy)}
    assert (found["integrity"]["min_side"], found["integrity"]["min_spread"]) == (64, 8.0)
    assert found["lexical_leakage"] == {"threshold": 0.34}


@pytest.mark.parametrize("options", [{}, None])
def test_an_unknown_check_is_answered_with_the_nearest_also_when_it_is_to_be_taken_out(
    taxonomy: Taxonomy, options: Any
) -> None:
    with pytest.raises(UnknownName, match="unknown check 'lexical_leakge'; did you mean 'lexical_leakage'"):
        open_checks({"lexical_leakge": options}, taxonomy)


@pytest.mark.parametrize(
    ("check", "options", "told"),
    [
        (
            "lexical_leakage",
            {"thresold": 0.5},
            "check 'lexical_leakage': unknown key 'thresold'; did you mean 'threshold'?",
        ),
        (
            "lexical_leakage",
            {"threshold": 2},
            "check 'lexical_leakage': threshold: Input should be less than or equal to 1",
        ),
        (
            "image_duplicates",
            {"distance": "far"},
            "check 'image_duplicates': distance: Input should be a valid integer",
        ),
        ("policy", {"off": True}, "check 'policy': unknown key 'off'"),
        ("structure", {"rules": 1}, "check 'structure': unknown key 'rules'"),
    ],
)
def test_a_wrong_option_is_named_with_its_check(
    taxonomy: Taxonomy, check: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(UsageError) as caught:
        open_checks({check: options}, taxonomy)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize("name", CHECKS)
def test_a_check_is_called_what_its_row_says_and_its_verdicts_are_signed(
    name: str, taxonomy: Taxonomy, memory_store: Store
) -> None:
    check = next(c for c in open_checks({name: {}}, taxonomy) if c.name == name)
    one = candidate(
        pictures=tuple(picture(f"Thing {n}.", f"thing{n}", image=stored_image(memory_store, n)) for n in (1, 2))
    )
    [judged] = judged_by([check], memory_store, taxonomy, one)
    [verdict] = judged.verdicts
    assert (verdict.check, verdict.version) == (name, check.version)
    assert type(check).__doc__


def test_what_is_always_checked_is_in_the_table() -> None:
    assert set(ALWAYS) <= set(CHECKS)
