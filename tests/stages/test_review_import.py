"""Review import: decisions joined to what they are about, and to no other revision of it."""

from __future__ import annotations

import asyncio

import pytest

from mirsb_build.records import Candidate, Decision, Instance
from mirsb_build.stages.review_import import ReviewImport
from tests.factories import candidate, decision, passed, review_item

ONE, OTHER = passed("How can I hum?"), passed("How can I whistle?")


def join(decisions: list[Decision], *candidates: Candidate, reviewers: int = 1) -> list[Instance]:
    items = [review_item(one) for one in candidates]
    return asyncio.run(ReviewImport(items, decisions, reviewers).run(candidates))


@pytest.mark.parametrize(("word", "outcome"), [("accept", "accepted"), ("reject", "rejected"), ("revise", "revise")])
def test_a_decision_makes_an_outcome(word: str, outcome: str) -> None:
    said = decision(ONE, word)
    assert join([said], ONE) == [Instance(candidate=ONE, decisions=(said,), outcome=outcome)]  # type: ignore[arg-type]


def test_what_nobody_has_decided_on_awaits_review() -> None:
    assert [i.outcome for i in join([decision(ONE)], ONE, OTHER)] == ["accepted", "awaiting"]
    assert [i.outcome for i in join([decision(ONE)], ONE, reviewers=2)] == ["awaiting"]


def test_a_decision_on_an_earlier_revision_does_not_count() -> None:
    changed = ONE.model_copy(update={"prompt": "Another prompt on picture 1."})
    [instance] = join([decision(ONE)], changed)
    assert (instance.outcome, instance.decisions) == ("awaiting", ())


def test_what_did_not_pass_is_no_instance_whatever_was_decided() -> None:
    open_one = candidate()
    assert join([decision(open_one)], open_one) == []


def test_a_new_decision_changes_the_key_and_one_on_something_else_does_not() -> None:
    said = decision(ONE)

    def key(*decisions: Decision, reviewers: int = 1) -> str:
        return ReviewImport([review_item(ONE)], decisions, reviewers).key([ONE])

    two = key(said, decision(ONE, reviewer="bo"))
    keys = [key(), key(said), key(decision(ONE, "reject")), two, key(said, reviewers=2)]
    assert len(set(keys)) == len(keys)
    assert key(said, decision(OTHER)) == key(decision(OTHER), said) == keys[1]
