"""Image-text match: pictures against their descriptions, by small models of random weights on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from transformers import AutoModel, AutoProcessor

from mirsb_build.checks.image_text_match import NO_MODEL, ImageTextMatch, text
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import CannotJudge
from mirsb_build.ports import BatchCheck, Case, Finding, Pixels
from mirsb_build.runtime import dependencies as missing
from tests.checks.two_towers import SIGLIP_TOKENS, clip, siglip
from tests.factories import candidate, evidence, noise, picture

SAID = ("A key on a desk.", "A cat under a chair.", "Rain on a window.", "A ladder by a tree.", "Bread on a shelf.")


@pytest.fixture(scope="module", params=[clip, siglip])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return request.param(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def check(model: Path) -> ImageTextMatch:
    return opened(model=str(model), threshold=-1)


def opened(**options: Any) -> ImageTextMatch:
    return ImageTextMatch(ImageTextMatch.Options(**options), Taxonomy.model_construct())


def case(*seeds: int, pixels: tuple[Pixels, ...] = ()) -> Case:
    """A candidate with a picture of noise a seed, each with a description of its own."""
    pictures = tuple(picture(SAID[s % len(SAID)], f"thing{s}") for s in seeds)
    return candidate(pictures=pictures), evidence(pixels=pixels or tuple(noise(s, 64) for s in seeds))


def verdict(check: ImageTextMatch, *seeds: int) -> Finding:
    return check.judge(*case(*seeds))


def by_hand(model: Path, seed: int) -> float:
    """The cosine as the model itself gives it, without our code: its logits, unscaled."""
    loaded, processor = AutoModel.from_pretrained(model).eval(), AutoProcessor.from_pretrained(model)
    said = text(case(seed)[0].pictures[0])
    window = loaded.config.text_config.max_position_embeddings
    inputs = processor(
        text=[said],
        images=[noise(seed, 64)],
        padding="max_length",
        truncation=True,
        max_length=window,
        return_tensors="pt",
    )
    with torch.inference_mode():
        logits = loaded(**inputs).logits_per_image - getattr(loaded, "logit_bias", 0)
        return float(logits / loaded.logit_scale.exp())


def test_the_score_is_the_smallest_cosine_and_its_picture_is_named(check: ImageTextMatch, model: Path) -> None:
    cosines = [by_hand(model, seed) for seed in (1, 2, 3)]
    found = verdict(check, 1, 2, 3)
    assert isinstance(check, BatchCheck)
    assert found.score == pytest.approx(min(cosines), abs=1e-4)
    assert found.reason.startswith(f"picture {cosines.index(min(cosines)) + 1} is the least like its description")
    assert (found.outcome, found.threshold, found.feedback) == ("pass", -1, "")


def test_pictures_under_the_threshold_fail_and_are_named(model: Path) -> None:
    failed = verdict(opened(model=str(model), threshold=1), 1, 2)
    assert failed.outcome == "fail"
    assert failed.feedback.startswith("Describe for pictures 1 and 2 one thing")


def test_what_does_not_fit_into_the_window_is_not_read(check: ImageTextMatch) -> None:
    long = "A key on a desk, " * 30
    pixels = (noise(1, 64),)
    said = [candidate(pictures=(picture(long + end, "key"),)) for end in ("and a lamp.", "and a tree.")]
    first, second = (check.judge(one, evidence(pixels=pixels)) for one in said)
    assert first.score == second.score
    assert len(long) > SIGLIP_TOKENS


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1", "I"])
def test_any_mode_of_pixels_is_taken(check: ImageTextMatch, mode: str) -> None:
    assert check.judge(*case(1, pixels=(noise(1, 64).convert(mode),))).outcome == "pass"


def test_a_picture_of_any_shape_is_taken(check: ImageTextMatch) -> None:
    for size in ((1, 1), (3, 200), (300, 40)):
        assert check.judge(*case(1, pixels=(PillowImage.new("RGB", size, "red"),))).outcome == "pass"


groups = st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=5)


@settings(max_examples=6)
@given(seeds=groups, size=st.integers(1, 8))
def test_verdicts_do_not_depend_on_how_cases_are_batched(
    check: ImageTextMatch, seeds: list[list[int]], size: int
) -> None:
    cases = [case(*group) for group in seeds]
    at_once = check.judge_all(cases)
    apart = [found for start in range(0, len(cases), size) for found in check.judge_all(cases[start : start + size])]
    assert [found.outcome for found in at_once] == [found.outcome for found in apart]
    assert [found.score for found in at_once] == pytest.approx([found.score for found in apart], abs=1.1e-4)


# Where it cannot judge


def reason(**options: Any) -> str:
    with pytest.raises(CannotJudge) as caught:
        opened(**options).judge_all([case(1, 2), case(3)])
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_cannot_judge_until_a_model_is_named() -> None:
    assert reason() == NO_MODEL
    assert "set checks.image_text_match.model" in NO_MODEL


def test_it_cannot_judge_without_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(missing, "installed", lambda package: None)
    assert reason(model="./some-clip") == "needs transformers; pip install 'mirsb-build[checks]'"


def test_it_cannot_judge_where_the_folder_is_none_or_holds_something_else(tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert reason(model=nowhere).startswith(f"{nowhere} is no folder of a transformers model")
    for config, told in (("{", "no config.json that can be read"), ("[]", "no config.json"), ("{}", "of type None")):
        (tmp_path / "config.json").write_text(config)
        assert told in reason(model=str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert reason(model=str(tmp_path)).endswith("holds a model of type 'bert'; give a CLIP or a SigLIP")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clip"}))
    assert "cannot be loaded" in reason(model=str(tmp_path)), "there are no weights"


def test_it_cannot_judge_where_the_hub_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert reason(model="some-team/some-clip").startswith("model 'some-team/some-clip' cannot be loaded: ")


def test_it_cannot_judge_on_a_device_that_is_not_there(model: Path) -> None:
    assert "cannot be loaded" in reason(model=str(model), device="cuda:99")


def test_it_abstains_without_a_picture_and_judges_the_others(check: ImageTextMatch) -> None:
    none, some = check.judge_all([(case(1)[0], evidence()), case(1)])
    assert (none.outcome, some.outcome) == ("abstain", "pass")
    assert some == verdict(check, 1)


def test_its_version_names_the_models_contents(check: ImageTextMatch, model: Path, tmp_path: Path) -> None:
    assert check.version.startswith("1, tiny@")
    assert opened().version == "1, cannot judge"
    assert opened(model="some-team/some-clip").version == "1, some-team/some-clip"
