"""What a model that draws is told: keywords first, shared words the same, seeds of the content alone."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.images.prompting import STYLES, noise_seed, scene, style, write_prompt
from mirsb_build.records import ImageSpec
from tests.factories import image_spec

THINGS = (("key", "door"), ("key", "lamp"), ("garden",))


def pictures(*shares: str, candidate: str = "a") -> list[ImageSpec]:
    """The pictures of one candidate."""
    values: dict[str, Any] = {"candidate": candidate, "group_keywords": THINGS, "shares": shares, "count": len(THINGS)}
    return [
        image_spec(keywords=words, description=f"A quiet view of {words[0]}.", index=n, **values)
        for n, words in enumerate(THINGS, 1)
    ]


def test_keywords_come_first_and_the_description_last() -> None:
    [first, *_] = pictures("scene")
    assert write_prompt(first, ["A plain photograph."]) == (
        "Key, door. A plain photograph. Always the same scene with key. A quiet view of key."
    )


def test_nothing_is_added_where_nothing_is_asked_for() -> None:
    assert write_prompt(pictures()[2], ()) == "Garden. A quiet view of garden."


def test_pictures_that_share_a_style_are_drawn_in_one_and_others_in_several() -> None:
    together = {style(spec, STYLES) for spec in pictures("style")}
    assert len(together) == 1
    spread = {style(spec, STYLES) for n in range(20) for spec in pictures(candidate=str(n))}
    assert spread == set(STYLES)
    candidates = {style(pictures("style", candidate=str(n))[0], STYLES) for n in range(40)}
    assert candidates == set(STYLES), "candidates differ in style from one another"


def test_a_shared_scene_is_what_most_of_the_pictures_show() -> None:
    assert {scene(spec) for spec in pictures("scene")} == {"Always the same scene with key"}
    unlike = image_spec(shares=("scene",), group_keywords=(("lamp", "desk"), ("road",)))
    assert scene(unlike) == "Always the same scene with lamp, desk"
    assert scene(image_spec(shares=("scene",))) == "", "a picture without group keywords shares nothing"


def test_pictures_that_share_the_noise_start_from_one_seed() -> None:
    assert len({noise_seed(spec) for spec in pictures("noise")}) == 1
    assert len({noise_seed(spec) for spec in pictures()}) == len(THINGS)
    assert len({noise_seed(spec, attempt) for spec in pictures("noise") for attempt in range(3)}) == 3


@given(st.text(max_size=30), st.text(max_size=30), st.integers(0, 5))
def test_a_seed_follows_from_content_and_attempt_alone(one: str, other: str, attempt: int) -> None:
    seeds = [noise_seed(image_spec(description=text), attempt) for text in (one, other)]
    assert (seeds[0] == seeds[1]) == (one == other)
    assert all(0 <= seed < 2**63 for seed in seeds)
