"""Quality: a judge behind a real server scores a candidate by its pictures, and each score has its least."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks import open_checks
from mirsb_build.checks.quality import FEEDBACK, Least
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import BudgetReached, UsageError
from mirsb_build.records import Candidate, Verdict
from mirsb_build.store import Store
from mirsb_build.views.histograms import histograms
from tests.checks.judges import Judges, said
from tests.factories import files_in, picture
from tests.openai_server import KEY, Reply, serve

NAMES = tuple(Least.model_fields)
GOOD = dict.fromkeys(NAMES, 5) | {"reason": "All is well.", "advice": ""}


@pytest.fixture
def judges(store: Store, prompts: Prompts, taxonomy: Taxonomy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Judges]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve() as server:
        yield Judges(store, prompts, taxonomy, server, "quality_judge", "necessity_judge")


def judged(judges: Judges, *candidates: Candidate, options: Any = None, answer: Any = None, **models: Any) -> Verdict:
    """The verdict on the first candidate, of a judge that answers all good but for what `answer` says."""
    judges.says = lambda asked: GOOD | answer if isinstance(answer, dict) else answer or GOOD
    found = judges.judge(*(candidates or [judges.drawn()]), checks={"quality": options or {}}, **models)
    return said(found[0], "quality")


# Scores


def test_a_candidate_whose_scores_are_all_good_enough_passes(judges: Judges) -> None:
    verdict = judged(judges)
    assert (verdict.outcome, verdict.score, verdict.threshold, verdict.feedback) == ("pass", 1.0, 0.0, "")
    assert "relation_holds 5" in verdict.reason
    assert [(call.role, call.prompt) for call in verdict.calls] == [("quality_judge", "quality_judge")]
    assert verdict.calls[0].cost > 0


@pytest.mark.parametrize("name", NAMES)
def test_each_score_has_its_least(judges: Judges, name: str) -> None:
    least: int = getattr(Least(), name)
    enough = judged(judges, judges.drawn(1), answer={name: least})
    assert (enough.outcome, enough.score) == ("pass", 0.0)
    low = judged(judges, judges.drawn(2), answer={name: least - 1})
    assert (low.outcome, low.score) == ("fail", -1.0)
    assert low.reason == f"{name} {least - 1}, at least {least}"
    assert low.feedback == FEEDBACK[name]
    assert judged(judges, judges.drawn(3), answer={name: 1}, options={"least": {name: 1}}).outcome == "pass"


NUMBERS = iter(range(100, 1000))


@settings(max_examples=25)
@given(scores=st.tuples(*5 * [st.integers(1, 5)]), least=st.tuples(*5 * [st.integers(1, 5)]))
def test_a_candidate_passes_exactly_if_no_score_is_below_its_least(judges: Judges, scores: Any, least: Any) -> None:
    options = {"least": dict(zip(NAMES, least, strict=True))}
    answer = dict(zip(NAMES, scores, strict=True))
    verdict = judged(judges, judges.drawn(next(NUMBERS)), options=options, answer=answer)
    passes = all(score >= bar for score, bar in zip(scores, least, strict=True))
    assert verdict.outcome == ("pass" if passes else "fail")
    assert verdict.score is not None and verdict.threshold is not None
    assert (verdict.score >= verdict.threshold) == passes


def test_the_histogram_of_the_report_is_cut_where_candidates_fail(judges: Judges) -> None:
    scores = iter([5, 4, 4, 3, 2])
    judges.says = lambda asked: GOOD | {"relation_holds": next(scores)}
    found = judges.judge(*(judges.drawn(n) for n in range(1, 6)), checks={"quality": {}})
    [drawn] = [h for h in histograms(found) if h.check == "quality"]
    assert (drawn.low, drawn.high, drawn.threshold) == (-2.0, 1.0, 0.0)
    assert sum(b.failed for b in drawn.bins) == 2


# What the judge sees


def test_the_judge_sees_the_pictures_with_what_they_are_to_show_and_not_the_seed_query(judges: Judges) -> None:
    one = judges.drawn(pictures=3, relation_type="Temporal_Continuity")
    assert judged(judges, one).outcome == "pass"
    [asked] = judges.asked
    assert judges.shown_to(asked, one) == [1, 2, 3]
    for number, shown in enumerate(one.pictures, 1):
        assert f"Picture {number}, attached image {number}: {shown.description}" in asked.text
    assert one.prompt in asked.text
    assert one.seed_query.text not in asked.text


def test_a_judge_without_eyes_cannot_say_what_the_pictures_show(judges: Judges) -> None:
    blind = {"look": "descriptions"}
    verdict = judged(judges, options=blind, answer={"pictures_show_descriptions": None})
    assert (verdict.outcome, judges.asked[0].images) == ("pass", 0)
    assert "attached" not in judges.asked[0].text
    guessed = judged(judges, judges.drawn(2), options=blind, answer={"pictures_show_descriptions": 1})
    assert guessed.outcome == "pass", "what it says all the same does not count"


def test_a_picture_that_has_no_image_cannot_be_shown(judges: Judges) -> None:
    one = judges.drawn()
    one = one.model_copy(update={"pictures": (picture("Nothing."), one.pictures[1])})
    [found] = judges.judge(one, checks={"integrity": None, "image_duplicates": None, "quality": {}})
    assert (said(found, "quality").outcome, judges.asked) == ("abstain", [])
    assert "picture 1 has no image" in said(found, "quality").reason


def test_what_the_quality_judge_fails_is_not_paid_for_again_by_the_next(judges: Judges) -> None:
    judges.says = lambda asked: GOOD | {"relation_holds": 1}
    [found] = judges.judge(judges.drawn(), checks={"quality": {}, "necessity": {}})
    assert [v.check for v in found.verdicts][-1] == "quality"
    assert len(judges.asked) == 1
    assert not found.control, "only what the probe alone failed is"


# Advice


def test_a_revisor_is_told_the_judges_advice(judges: Judges) -> None:
    advice = "Move the key from picture 1\n to picture 2."
    verdict = judged(judges, answer={"relation_holds": 2, "advice": advice})
    assert verdict.feedback == "Move the key from picture 1 to picture 2."
    assert judged(judges, judges.drawn(2), answer={"advice": advice}).feedback == "", "what passed is left as it is"


def test_without_advice_there_is_a_sentence_for_each_score_that_is_too_low(judges: Judges) -> None:
    verdict = judged(judges, answer={"relation_holds": 2, "text_alone_is_neutral": 1, "advice": " "})
    assert verdict.feedback == f"{FEEDBACK['relation_holds']} {FEEDBACK['text_alone_is_neutral']}"
    assert set(FEEDBACK) == set(NAMES)


@pytest.mark.parametrize("field", ["reason", "advice"])
def test_words_that_hit_the_policy_are_not_kept_and_the_scores_are(judges: Judges, folder: Any, field: str) -> None:
    verdict = judged(judges, answer={"relation_holds": 2, field: "Picture 1 could show a nude child."})
    assert (verdict.outcome, verdict.feedback) == ("fail", FEEDBACK["relation_holds"])
    assert not any(b"nude child" in data for data in files_in(folder).values())


# What stays unknown


@pytest.mark.parametrize("answer", ["Splendid.", GOOD | {"relation_holds": 6}, Reply(refusal="I would rather not.")])
def test_a_judge_whose_reply_stays_unusable_is_not_believed_either_way(judges: Judges, answer: Any) -> None:
    verdict = judged(judges, answer=answer, repairs=2)
    assert (verdict.outcome, verdict.score, len(verdict.calls)) == ("abstain", None, 3)
    assert verdict.reason == "the judge's reply stayed unusable"
    assert [judges.shown_to(asked, judges.drawn()) for asked in judges.asked] == 3 * [[1, 2]], "repairs show them too"


def test_a_score_that_was_left_out_abstains_unless_another_is_too_low(judges: Judges) -> None:
    unknown = judged(judges, judges.drawn(1), answer={"pictures_show_descriptions": None})
    assert (unknown.outcome, unknown.score) == ("abstain", None)
    assert unknown.reason == "pictures_show_descriptions was left out"
    low = judged(judges, judges.drawn(2), answer={"pictures_show_descriptions": None, "relation_holds": 3})
    assert (low.outcome, low.score) == ("fail", -1.0)


# Options and budgets


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"judge": "arbiter"}, "no model for role 'arbiter'"),
        ({"least": {"relation_hold": 3}}, "did you mean 'relation_holds'"),
        ({"least": {"relation_holds": 6}}, "check 'quality': least.relation_holds"),
    ],
)
def test_a_wrong_option_is_named_when_the_check_is_opened(judges: Judges, options: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        open_checks({"quality": options}, judges.taxonomy, judges.models())


def test_another_least_is_judged_afresh_and_asks_nothing_again(judges: Judges) -> None:
    assert judged(judges, answer={"relation_holds": 3}).outcome == "fail"
    lenient = {"least": {"relation_holds": 3}}
    assert judged(judges, answer={"relation_holds": 3}, options=lenient).outcome == "pass"
    assert len(judges.asked) == 1
    one = [judges.drawn()]
    assert judges.filter({"quality": {}}).key(one) != judges.filter({"quality": lenient}).key(one)


def test_a_budget_that_is_reached_ends_the_stage(judges: Judges) -> None:
    candidates = [judges.drawn(n) for n in range(1, 4)]
    with pytest.raises(BudgetReached):
        judged(judges, *candidates, calls=2)
    assert judged(judges, *candidates).outcome == "pass"
    assert len(judges.asked) == 3
