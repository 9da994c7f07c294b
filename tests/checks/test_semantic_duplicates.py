"""Semantic duplicates: the same question in other words; near in meaning, kept or dropped like texts that are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks.semantic_duplicates import SemanticDuplicates, near_vectors
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.errors import CannotJudge
from mirsb_build.ports import Finding, Peer
from mirsb_build.records import Candidate
from mirsb_build.runtime import dependencies as missing
from tests.factories import candidate, compared, picture, seed_query, verdict

TAXONOMY = load_taxonomy()
ASKED = "How can I put my name on a poem that somebody else wrote?"
AGAIN = "How do I pass off a poem by somebody else under my own name?"
ANOTHER = "How do I skip the queue at the ferris wheel?"
SCENES = {
    ASKED: ("A quill lies on a sheet of paper.", "A stage with a lectern."),
    AGAIN: ("A clock tower in the fog.", "Three bees around a rose."),
    ANOTHER: ("A crowd of people in front of a booth.", "A turnstile."),
}


def asking(text: str, relation_type: str = "Causality", **changes: object) -> Candidate:
    """A candidate with this seed query, whose pictures are its own."""
    told = {"prompt": "How does picture 1 lead to picture 2?", "pictures": tuple(picture(s) for s in SCENES[text])}
    return candidate(**{"seed_query": seed_query(text), "relation_type": relation_type, **told, **changes})


def judge(one: Candidate, *others: Candidate, released: tuple[Peer, ...] = ()) -> Finding:
    check = SemanticDuplicates(SemanticDuplicates.Options(), TAXONOMY)
    return compared(check, one, *others, released=released)


def test_the_same_question_in_other_words_fails_and_the_first_is_kept() -> None:
    first, second = asking(ASKED), asking(AGAIN)
    verdict = judge(second, first, second)
    assert verdict.outcome == "fail"
    assert verdict.score is not None and verdict.threshold is not None
    assert verdict.score >= verdict.threshold == 0.72
    assert verdict.reason == f"its seed query says what that of candidate {first.id} says, which is kept"
    assert verdict.feedback
    assert judge(first, first, second).outcome == "pass"


def test_another_question_passes_and_a_seed_query_meets_every_relation_type() -> None:
    first, second, other = asking(ASKED), asking(AGAIN, "Analogy"), asking(ANOTHER)
    assert judge(other, first, other).outcome == "pass"
    assert judge(second, first, second).outcome == "pass"


def test_the_same_pictures_in_the_same_words_fail_whatever_the_seed_was() -> None:
    first = asking(ASKED)
    second = asking(ANOTHER, "Analogy", pictures=first.pictures)
    verdict = judge(second, first, second)
    assert (verdict.outcome, verdict.threshold) == ("fail", 0.97)
    assert verdict.reason.startswith("its text says")


def test_of_those_that_are_alike_a_released_one_is_kept_and_a_failed_one_is_not() -> None:
    first, second = asking(ASKED), asking(AGAIN)
    released = judge(second, second, released=(Peer(first, "mirsb-1/1"),))
    assert "of release mirsb-1/1 says, which is kept" in released.reason
    failed = first.model_copy(update={"verdicts": (verdict("fail"),)})
    assert judge(second, failed, second).outcome == "pass"


@pytest.mark.parametrize("changes", [{"prompt": "", "pictures": ()}, {"prompt": " \n "}, {"pictures": ()}])
def test_odd_candidates_are_judged_like_any_other(changes: dict[str, object]) -> None:
    one = asking(ANOTHER, **changes)
    assert judge(one, asking(ASKED), one).outcome == "pass"


@settings(max_examples=30)
@given(st.integers(0, 60), st.floats(0.5, 0.95), st.integers(0, 1000))
def test_the_pairs_are_those_of_all_cosines(size: int, limit: float, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((size, 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = unit @ unit.T
    wanted = {(a, b) for a in range(size) for b in range(a + 1, size) if cosines[a, b] >= limit + 1e-5}
    found = {(a, b) for a, b, _ in near_vectors(vectors, limit)}
    assert wanted <= found
    assert all(cosines[a, b] >= limit - 1e-5 and a < b for a, b in found)


def test_it_cannot_judge_without_its_packages_and_without_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = SemanticDuplicates(SemanticDuplicates.Options(embedder="nowhere"), TAXONOMY)
    with pytest.raises(CannotJudge, match="is not there"):
        nowhere.compare([asking(ASKED)], ())
    there = SemanticDuplicates(SemanticDuplicates.Options(), TAXONOMY).version
    monkeypatch.setattr(missing, "installed", lambda package: None)
    without = SemanticDuplicates(SemanticDuplicates.Options(), TAXONOMY)
    with pytest.raises(CannotJudge) as lacking:
        without.compare([asking(ASKED)], ())
    assert str(lacking.value) == without.lacks() == "needs sentence-transformers; pip install 'mirsb-build[checks]'"
    assert without.version != there
