"""Review export: an item for each candidate that passed, and nothing that a reviewer should not go by."""

from __future__ import annotations

import asyncio

from mirsb_build.records import Candidate, Exclusion, ReviewItem
from mirsb_build.stages.review_export import ReviewExport
from tests.factories import candidate, passed, review_item, verdict


def export(*candidates: Candidate) -> list[ReviewItem]:
    return asyncio.run(ReviewExport().run(candidates))


def test_reviewers_get_what_passed_in_the_builds_order_and_nothing_else() -> None:
    one, other = passed("How can I hum?"), passed("How can I whistle?")
    failed = passed("How can I yodel?", verdicts=(verdict("pass"), verdict("fail", "lexical_leakage")))
    dead = passed("How can I sing?", problem="no reply")
    excluded = passed("How can I shout?", excluded=Exclusion(rule="r", where="seed", explanation="so"))
    items = export(one, failed, dead, candidate(), excluded, other)
    assert items == [review_item(one), review_item(other)]


def test_an_item_has_all_that_a_decision_rests_on() -> None:
    one = passed()
    [item] = export(one)
    assert (item.instance, item.checksum) == (one.id, one.revision)
    assert (item.seed_query, item.prompt, item.pictures) == (one.seed_query.text, one.prompt, one.pictures)
    assert item.verdicts == one.verdicts


def test_the_key_changes_with_the_candidates_and_their_verdicts() -> None:
    stage = ReviewExport()
    one, other = passed("How can I hum?"), passed("How can I whistle?")
    scored = passed("How can I hum?", verdicts=(verdict(score=0.5),))
    keys = [stage.key(records) for records in ([one], [one, other], [other, one], [scored], [])]
    assert len(set(keys)) == len(keys)
    assert ReviewExport().key([one]) == keys[0]
