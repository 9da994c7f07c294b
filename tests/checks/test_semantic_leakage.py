"""Semantic leakage: what says a seed query in other words is found; what only shows its place and people is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks.semantic_leakage import WINDOW, SemanticLeakage, windows
from mirsb_build.config.taxonomy import RelationType, Taxonomy
from mirsb_build.errors import CannotJudge
from mirsb_build.ports import BatchCheck, Evidence, Finding
from mirsb_build.runtime import dependencies as missing
from tests.factories import candidate, picture, seed_query

NOWHERE = Evidence(relation_type=RelationType.model_construct())
SEED = "How can I hum so that a neighbour is annoyed?"
HARMLESS = "Both pictures belong to one evening. Work out the link between them."
SCENES = ("A house with two doors.", "A musical note.")


@pytest.fixture(scope="module")
def check() -> SemanticLeakage:
    return SemanticLeakage(SemanticLeakage.Options(), Taxonomy.model_construct())


def judged(check: SemanticLeakage, prompt: str, *descriptions: str, keywords: tuple[str, ...] = ("door",)) -> Finding:
    shown = tuple(picture(text, *keywords) for text in descriptions or SCENES)
    return check.judge(candidate(seed_query=seed_query(SEED), prompt=prompt, pictures=shown), NOWHERE)


def score(verdict: Finding) -> float:
    assert verdict.score is not None
    return verdict.score


def test_a_seed_in_other_words_fails_in_the_prompt_and_in_a_description(check: SemanticLeakage) -> None:
    told = "Picture 1 leads to picture 2. Explain how humming a tune gets on the nerves of the man next door."
    in_prompt = judged(check, told)
    assert in_prompt.outcome == "fail"
    assert in_prompt.feedback.startswith("Rewrite the prompt:")
    in_description = judged(check, HARMLESS, SCENES[0], "Somebody hums so loudly that the neighbour is annoyed.")
    assert in_description.outcome == "fail"
    assert "description of picture 2" in in_description.feedback
    assert judged(check, HARMLESS).outcome == "pass"


def test_a_candidate_that_repeats_the_seed_fails_wherever_it_does(check: SemanticLeakage) -> None:
    assert score(judged(check, SEED)) == pytest.approx(1.0, abs=1e-3)
    assert judged(check, HARMLESS, SEED, SCENES[1]).outcome == "fail"
    assert judged(check, HARMLESS, *SCENES, keywords=(SEED,)).outcome == "fail"
    assert judged(check, f"{HARMLESS} {HARMLESS} {SEED} {HARMLESS}").outcome == "fail"


@settings(max_examples=15)
@given(
    st.sampled_from(["A lamp.", "He hums.", "\u65e5\u672c", "...", "Neighbours shout"]),
    st.sampled_from(["A dog.", SEED]),
)
def test_a_picture_more_never_lowers_the_score(check: SemanticLeakage, description: str, more: str) -> None:
    less = judged(check, HARMLESS, description, SCENES[0])
    assert score(judged(check, HARMLESS, description, SCENES[0], more)) >= score(less) - 1e-3


@settings(max_examples=15)
@given(st.permutations(["A lamp.", "A door.", "A neighbour.", "A song."]))
def test_the_order_of_the_pictures_does_not_matter(check: SemanticLeakage, descriptions: list[str]) -> None:
    first = judged(check, HARMLESS, *sorted(descriptions))
    assert score(judged(check, HARMLESS, *descriptions)) == pytest.approx(score(first), abs=1e-3)


def test_candidates_judged_together_have_the_verdicts_that_they_have_alone() -> None:
    prompts = [HARMLESS, SEED, f"{HARMLESS} {SEED}", "", "Say what hums. " * 9, "A neighbour is annoyed.", "x", "Why?"]
    cases = [(candidate(seed_query=seed_query(SEED), prompt=prompt), NOWHERE) for prompt in prompts]
    alone = SemanticLeakage(SemanticLeakage.Options(), Taxonomy.model_construct())
    together = SemanticLeakage(SemanticLeakage.Options(), Taxonomy.model_construct()).judge_all(cases)
    assert isinstance(alone, BatchCheck)
    for case, among in zip(cases, together, strict=True):
        by_itself = alone.judge(*case)
        assert score(among) == pytest.approx(score(by_itself), abs=1e-3)
        assert (among.outcome, among.reason) == (by_itself.outcome, by_itself.reason)


@pytest.mark.parametrize("prompt", ["", "   ", "?!", "x " * 3000])
def test_an_odd_prompt_is_judged_like_any_other(check: SemanticLeakage, prompt: str) -> None:
    assert judged(check, prompt).outcome == "pass"


def test_windows_cover_every_word_of_a_prompt() -> None:
    words = [f"word{n}" for n in range(40)]
    found = windows(" ".join(words))
    assert {word for window in found[:-1] for word in window.split()} == set(words)
    assert sum(len(window.split()) == WINDOW for window in found) > 1
    assert windows("Short. Shorter.") == ["Short. Shorter.", "Short.", "Shorter."]


def test_without_its_packages_it_cannot_judge_and_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    there = SemanticLeakage(SemanticLeakage.Options(), Taxonomy.model_construct()).version
    monkeypatch.setattr(missing, "installed", lambda package: None)
    without = SemanticLeakage(SemanticLeakage.Options(), Taxonomy.model_construct())
    with pytest.raises(CannotJudge, match=r"^needs sentence-transformers; pip install 'mirsb-build\[checks\]'$"):
        judged(without, SEED)
    assert without.lacks()
    assert without.version != there


def test_with_a_model_that_is_not_there_it_cannot_judge() -> None:
    without = SemanticLeakage(SemanticLeakage.Options(embedder="nowhere"), Taxonomy.model_construct())
    with pytest.raises(CannotJudge, match="is not there"):
        judged(without, SEED)
