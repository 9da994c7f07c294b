"""Structure: what a prompt points at, how many pictures there are, and the rules of each relation type."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.checks.structure import ORDER_WORDS, Structure, references
from mirsb_build.config.taxonomy import RelationType, Rules, Taxonomy
from mirsb_build.ports import Evidence, Finding
from tests.factories import candidate, picture

POINTS = [
    # prompt, pictures, pictures pointed at, references that fit none
    ("What is in picture 1?", 2, {1}, []),
    ("Compare Picture 1 with IMAGE 2.", 2, {1, 2}, []),
    ("Compare pictures 1 and 2.", 3, {1, 2}, []),
    ("Compare pictures 1, 2 and 3.", 3, {1, 2, 3}, []),
    ("Go from picture 1 to 3.", 3, {1, 2, 3}, []),
    ("Look at images 2-4.", 4, {2, 3, 4}, []),
    ("Is it picture 2 or 3?", 3, {2, 3}, []),
    ("The first picture and the second image.", 3, {1, 2}, []),
    ("The third small picture.", 3, {3}, []),
    ("What does the last picture show?", 3, {3}, []),
    ("Both pictures belong together.", 2, {1, 2}, []),
    ("Look at both images.", 3, set(), []),
    ("These three pictures are one.", 3, {1, 2, 3}, []),
    ("All four cards are alike.", 4, {1, 2, 3, 4}, []),
    ("All 4 cards are alike.", 4, {1, 2, 3, 4}, []),
    ("These pictures belong together.", 3, {1, 2, 3}, []),
    ("All the pictures are alike.", 3, {1, 2, 3}, []),
    ("The three small panels show it.", 3, {1, 2, 3}, []),
    ("What is in picture 3?", 2, set(), ["picture 3"]),
    ("What is in picture 0?", 2, set(), ["picture 0"]),
    ("What is in the fourth picture?", 3, set(), ["fourth picture"]),
    ("There are five pictures.", 4, set(), ["five pictures"]),
    ("Compare three of these pictures.", 4, {1, 2, 3, 4}, []),
    ("Compare pictures 1 and 5.", 3, {1}, ["pictures 1 and 5"]),
    ("Explain how this is done.", 2, set(), []),
    ("Explain it in 3 steps.", 2, set(), []),
    ("", 2, set(), []),
]


@pytest.mark.parametrize(("prompt", "pictures", "found", "wrong"), POINTS, ids=[row[0] or "nothing" for row in POINTS])
def test_a_prompt_points_at(prompt: str, pictures: int, found: set[int], wrong: list[str]) -> None:
    assert references(prompt, pictures) == (found, wrong)


@pytest.mark.parametrize(
    "phrase", ["All five pictures", "These five pictures", "The 5 pictures", "Your five small cards"]
)
def test_a_miscount_is_told_also_after_all_and_these(phrase: str) -> None:
    found, wrong = references(f"{phrase} are one.", 4)
    assert not found
    assert len(wrong) == 1


@pytest.mark.parametrize("phrase", ["All three pictures", "These three pictures", "Both pictures"])
def test_a_smaller_set_is_not_all_of_them(phrase: str) -> None:
    assert references(f"{phrase} are one.", 4)[0] != {1, 2, 3, 4}


@given(st.text(max_size=80), st.integers(0, 4))
def test_no_prompt_points_at_a_picture_that_is_not_there(prompt: str, pictures: int) -> None:
    found, _ = references(prompt, pictures)
    assert found <= set(range(1, pictures + 1))


@given(st.integers(1, 4), st.integers(1, 4))
def test_every_picture_can_be_pointed_at_by_its_number(number: int, pictures: int) -> None:
    found, wrong = references(f"What is in picture {number}?", pictures)
    assert (found, bool(wrong)) == (({number}, False) if number <= pictures else (set(), True))


@pytest.mark.parametrize("word", ["first", "Then", "before", "at the end", "one after the other", "step by step"])
def test_words_that_name_an_order(word: str) -> None:
    assert ORDER_WORDS.search(f"Show it {word}.")


@pytest.mark.parametrize("text", ["Explain picture 1.", "An orderly thing.", "The friend lends a tender hand."])
def test_words_that_name_none(text: str) -> None:
    assert not ORDER_WORDS.search(text)


# Candidates


def relation(low: int = 2, high: int = 4, taxonomy: Taxonomy | None = None, **rules: object) -> RelationType:
    return RelationType.model_construct(
        name="Rhyme", min_pictures=low, max_pictures=high, rules=Rules.model_validate(rules)
    )


def judge(prompt: str, *keywords: str, rules: RelationType | None = None) -> Finding:
    """The verdict on a prompt and pictures with these keywords (words of one string belong to one picture)."""
    pictures = tuple(picture(f"Thing number {n}.", *words.split()) for n, words in enumerate(keywords, 1))
    one = candidate(prompt=prompt, pictures=pictures)
    check = Structure(Structure.Options(), Taxonomy.model_construct())
    return check.judge(one, Evidence(relation_type=rules or relation()))


def test_a_candidate_in_form_passes_with_the_full_score() -> None:
    verdict = judge("Compare both pictures.", "a", "b")
    assert (verdict.outcome, verdict.score, verdict.feedback) == ("pass", 1.0, "")


FAULTS = [
    # prompt, keywords, rules, part of the reason
    ("Compare both pictures.", ["a", "b"], relation(3, 3), "2 pictures where Rhyme has 3"),
    ("These three pictures.", ["a", "b", "c"], relation(2, 2), "3 pictures where Rhyme has 2"),
    ("Compare both pictures.", ["a", "b"], relation(3, 4), "2 pictures where Rhyme has 3 to 4"),
    ("Explain it.", ["a", "b"], relation(), "the prompt points at no picture"),
    ("Explain picture 1.", ["a", "b"], relation(refers_to="each"), "the prompt does not point at picture 2"),
    ("Explain picture 2.", ["a", "b", "c"], relation(refers_to="each"), "does not point at picture 1, 3"),
    ("Pictures 1, 2 and 3.", ["a", "b"], relation(), "points at 'Pictures 1, 2 and 3', but there are 2"),
    ("Both pictures.", ["a", "b"], relation(order_word=True), "the prompt names no order"),
    ("Both pictures.", ["a", "b"], relation(common_keyword=True), "no keyword is shared by all pictures"),
    ("Both pictures.", ["a x", "A y"], relation(no_common_keyword=True), "all pictures share the keyword a"),
    ("All three pictures.", ["a", "a", "a"], relation(odd_one_out=True), "no picture stands out"),
    ("All three pictures.", ["a", "b", "c"], relation(odd_one_out=True), "no picture stands out"),
]


@pytest.mark.parametrize(("prompt", "keywords", "rules", "reason"), FAULTS, ids=[row[3] for row in FAULTS])
def test_a_fault_is_named_and_said_how_to_mend(
    prompt: str, keywords: list[str], rules: RelationType, reason: str
) -> None:
    verdict = judge(prompt, *keywords, rules=rules)
    assert verdict.outcome == "fail"
    assert reason in verdict.reason
    assert verdict.feedback
    assert verdict.score is not None and 0 <= verdict.score < 1


FORMS = [
    ("Explain picture 1.", ["a", "b"], relation(refers_to="any")),
    ("Picture 1, then picture 2.", ["a", "b"], relation(refers_to="each", order_word=True)),
    ("Both pictures.", ["a x", "b A"], relation(common_keyword=True)),
    ("All three pictures.", ["a x", "a b", "b c"], relation(no_common_keyword=True)),
    ("All three pictures.", ["a x", "b", "a y"], relation(odd_one_out=True)),
    ("All four pictures.", ["a", "a", "a b", "b"], relation(odd_one_out=True)),
]


@pytest.mark.parametrize(("prompt", "keywords", "rules"), FORMS, ids=[row[0] for row in FORMS])
def test_a_rule_that_holds_is_no_fault(prompt: str, keywords: list[str], rules: RelationType) -> None:
    assert judge(prompt, *keywords, rules=rules).outcome == "pass"


def test_two_pictures_that_describe_the_same_are_a_fault() -> None:
    twins = candidate(pictures=(picture("A  key on a desk."), picture("a key on a Desk.")))
    check = Structure(Structure.Options(), Taxonomy.model_construct())
    verdict = check.judge(twins, Evidence(relation_type=relation()))
    assert "pictures 1 and 2 describe the same" in verdict.reason


def test_several_faults_are_all_named_so_that_one_round_mends_them() -> None:
    verdict = judge("Explain it.", "a", "b", rules=relation(3, 3, order_word=True, common_keyword=True))
    assert verdict.reason.count(";") == 3
    assert verdict.score == 0.5


@given(
    st.text(max_size=60),
    st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), max_size=6),
    st.sampled_from([rules for _, _, rules, _ in FAULTS]),
)
def test_any_candidate_gets_a_verdict_and_a_failed_one_advice(
    prompt: str, keywords: list[list[str]], rules: RelationType
) -> None:
    verdict = judge(prompt, *(" ".join(words) for words in keywords), rules=rules)
    assert (verdict.outcome == "pass") == (verdict.score == 1.0) == (verdict.feedback == "")
