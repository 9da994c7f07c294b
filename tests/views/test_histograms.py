"""How scores are spread over bins, and where the threshold stands among them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.records import Candidate
from mirsb_build.views.histograms import BINS, histograms
from tests.factories import candidate, verdict


def judged(*scores: float | None, threshold: float | None = 0.5) -> list[Candidate]:
    return [
        candidate(
            verdicts=(
                verdict(
                    "abstain" if score is None else "fail" if threshold is not None and score >= threshold else "pass",
                    "lexical_leakage",
                    score=score,
                    threshold=threshold,
                ),
            )
        )
        for score in scores
    ]


def test_scores_fall_into_bins_by_outcome_with_the_threshold_among_them() -> None:
    [drawn] = histograms(judged(0.0, 0.1, 0.1, 0.9, 1.0, None))
    assert (drawn.check, drawn.low, drawn.high) == ("lexical_leakage", 0.0, 1.0)
    assert (drawn.threshold, drawn.place) == (0.5, 50.0)
    assert (drawn.scored, drawn.unscored) == (5, 1)
    assert [n for n, bin in enumerate(drawn.bins) if bin.passed] == [0, 2]
    assert [n for n, bin in enumerate(drawn.bins) if bin.failed] == [21, BINS - 1]
    assert max(bin.passed_height for bin in drawn.bins) == 100.0


def test_a_threshold_beyond_all_scores_is_still_drawn() -> None:
    [drawn] = histograms(judged(0.0, 0.1, threshold=0.5))
    assert (drawn.high, drawn.place) == (0.5, 100.0)


def test_a_check_without_scores_or_with_one_value_alone_is_not_drawn() -> None:
    assert histograms(judged(None, None)) == ()
    assert histograms(judged(1.0, 1.0, threshold=None)) == ()
    assert histograms([]) == ()


def test_a_threshold_that_changed_is_not_drawn_but_the_scores_are() -> None:
    [drawn] = histograms([*judged(0.1, 0.2, threshold=0.5), *judged(0.3, threshold=0.4)])
    assert (drawn.threshold, drawn.place, drawn.scored) == (None, None, 3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(-1e6, 1e6))
def test_every_score_is_in_one_bin(scores: list[float], threshold: float) -> None:
    for drawn in histograms(judged(*scores, threshold=threshold)):
        assert sum(bin.passed + bin.failed for bin in drawn.bins) == drawn.scored == len(scores)
        assert drawn.place is None or 0 <= drawn.place <= 100
        assert all(bin.passed_height + bin.failed_height <= 103 for bin in drawn.bins)
