"""The policy check: the hard exclusions once more, over all that a release would show."""

from __future__ import annotations

from typing import Any

import pytest

from mirsb_build.checks.policy import PolicyCheck
from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy
from mirsb_build.ports import Finding
from mirsb_build.records import Candidate, ImageSource
from tests.factories import candidate, evidence, image, picture, seed_query

DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def judge(one: Candidate, taxonomy: Taxonomy, *rules: PolicyRule) -> Finding:
    known = taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, *rules))})
    return PolicyCheck(PolicyCheck.Options(), known).judge(one, evidence(taxonomy=known))


def source(title: str) -> ImageSource:
    said = {"file": "x.svg", "sha256": "0" * 64, "licence": "CC0", "author": "a", "url": "https://example.org"}
    return ImageSource(title=title, **said)


def test_a_candidate_that_hits_nothing_passes(taxonomy: Taxonomy) -> None:
    verdict = judge(candidate(), taxonomy, DUCKS)
    assert (verdict.outcome, verdict.feedback) == ("pass", "")
    assert verdict.reason == f"none of {len(taxonomy.policy.rules) + 1} hard exclusions is hit"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"seed_query": seed_query("How can I tease the ducks?")}, "seed"),
        ({"prompt": "Which ducks are in picture 1 and picture 2?"}, "prompt"),
        ({"pictures": (picture("A pond with ducks."), picture())}, "image"),
        ({"pictures": (picture("A pond.", "pond", "duck"), picture())}, "image"),
        ({"pictures": (picture(), picture("A pond.", image=image(sources=(source("duck"),))))}, "image"),
    ],
)
def test_a_hit_anywhere_fails_with_the_rule_and_not_with_the_words(
    taxonomy: Taxonomy, change: dict[str, Any], where: str
) -> None:
    verdict = judge(candidate(**change), taxonomy, DUCKS)
    assert verdict.outcome == "fail"
    assert verdict.reason == f"hard exclusion 'no-ducks' is hit in the {where}: Ducks are left in peace."
    assert verdict.feedback
    assert "duck " not in str(verdict) and "tease" not in str(verdict)


@pytest.mark.parametrize("where", ["seed", "prompt", "image"])
def test_a_rule_holds_where_it_says_and_nowhere_else(taxonomy: Taxonomy, where: Any) -> None:
    rule = DUCKS.model_copy(update={"where": (where,)})
    shown = {"seed": {"seed_query": seed_query("How can I tease ducks?")}, "prompt": {"prompt": "Ducks in picture 1."}}
    shown["image"] = {"pictures": (picture("Two ducks."), picture())}
    failed = {place for place, change in shown.items() if judge(candidate(**change), taxonomy, rule).outcome == "fail"}
    assert failed == {where}
