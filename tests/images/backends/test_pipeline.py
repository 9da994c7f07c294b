"""A real pipeline in this process: what it draws, how prompts are fitted, how batches shrink, what cannot be loaded."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagehash
import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig
from PIL import Image as PillowImage

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.loading import load_pipeline
from mirsb_build.images.backends.diffusion.messages import Drawn, Order
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.images.backends.diffusion.pipeline import Load, Pipeline
from tests.images.pipelines import CLIP_TOKENS, T5_TOKENS, flux, stable_diffusion, unconditional

SHAPE = (64, 64)
SAME_TO_THE_EYE = 1
"""Steps of 256 that a channel may differ by when a picture is drawn in another batch."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("models")
    stable_diffusion(base / "small-sd")
    flux(base / "small-flux")
    unconditional(base / "no-text")
    return base


@pytest.fixture(scope="module", params=["small-sd", "small-flux"])
def pipeline(request: pytest.FixtureRequest, folder: Path) -> Pipeline:
    return opened(folder / request.param)


@pytest.fixture
def small(folder: Path) -> Pipeline:
    return opened(folder / "small-sd")


def opened(model: Path, load: Load = load_pipeline, **options: Any) -> Pipeline:
    return Pipeline(Options(**({"model": str(model), "steps": 2, "devices": ("cpu",)} | options)), load=load)


def orders(*seeds: int, prompt: str = "a key on a desk") -> list[Order]:
    return [Order(f"{prompt} {seed}", seed, *SHAPE) for seed in seeds]


def draw(pipeline: Pipeline, wanted: Sequence[Order]) -> list[Drawn]:
    return list(pipeline.fetch(pipeline.start(wanted)).drawn)


def pixels(drawn: Drawn) -> np.ndarray[Any, np.dtype[np.uint8]]:
    assert drawn.pixels is not None, drawn.problem
    return np.frombuffer(drawn.pixels, np.uint8).reshape(drawn.height, drawn.width, 3)


# What is drawn


def test_a_batch_gives_a_picture_an_order_each_of_its_own(pipeline: Pipeline) -> None:
    drawn = draw(pipeline, orders(1, 2, 3))
    assert [d.prompt for d in drawn] == ["a key on a desk 1", "a key on a desk 2", "a key on a desk 3"]
    assert all((d.width, d.height) == SHAPE and not d.problem and not d.cut for d in drawn)
    assert len({d.pixels for d in drawn}) == 3


def test_the_same_batch_gives_the_same_bytes(pipeline: Pipeline) -> None:
    assert draw(pipeline, orders(1, 2)) == draw(pipeline, orders(1, 2))


def test_in_another_batch_a_picture_is_the_same_to_the_eye(pipeline: Pipeline) -> None:
    [alone] = draw(pipeline, orders(1))
    among = draw(pipeline, orders(5, 1, 7, 8))[1]
    apart = np.abs(pixels(alone).astype(int) - pixels(among).astype(int))
    assert apart.max() <= SAME_TO_THE_EYE
    assert imagehash.phash(PillowImage.fromarray(pixels(alone))) == imagehash.phash(
        PillowImage.fromarray(pixels(among))
    )


def test_prompt_and_seed_both_matter(pipeline: Pipeline) -> None:
    [one] = draw(pipeline, orders(1))
    [otherwise] = draw(pipeline, orders(1, prompt="a lamp in a garden"))
    [again] = draw(pipeline, [Order("a key on a desk 1", 2, *SHAPE)])
    assert one.pixels != otherwise.pixels
    assert one.pixels != again.pixels


def test_it_says_what_it_is(pipeline: Pipeline, folder: Path) -> None:
    ready = pipeline.ready
    assert ready.pipeline in ("StableDiffusionPipeline", "FluxPipeline")
    assert (ready.device, ready.dtype, ready.others) == ("cpu", "float32", ())
    assert {"torch", "diffusers", "transformers"} <= set(ready.versions)
    assert len(ready.revision) == 16
    assert str(folder) not in str(ready), "no path of this machine goes into a record"


# Prompts that are longer than a text encoder reads


def test_a_long_prompt_loses_whole_words_at_its_end_and_says_which(folder: Path) -> None:
    for name, window in (("small-sd", CLIP_TOKENS), ("small-flux", T5_TOKENS)):
        pipeline = opened(folder / name)
        long = " ".join(f"word{n}" for n in range(100))
        prompt, cut = pipeline.fit_prompt(long)
        assert f"{prompt} {cut}" == long
        tokenizer, widest = max(pipeline.windows, key=lambda one: one[1])
        assert widest == window
        assert len(tokenizer(prompt).input_ids) <= window < len(tokenizer(f"{prompt} {cut.split()[0]}").input_ids)
        assert pipeline.fit_prompt("a short one") == ("a short one", "")


def test_what_was_cut_goes_with_the_picture(small: Pipeline) -> None:
    [drawn] = draw(small, [Order("key " * 60, 1, *SHAPE)])
    assert drawn.cut.startswith("key") and drawn.prompt.startswith("key")


# Memory


class Cramped:
    """A pipeline on a device where only so many pictures fit at once, and what loads it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pipe: Any = None
        self.asked: list[int] = []

    def load(self, options: Options, device: torch.device, dtype: torch.dtype) -> tuple[Any, str]:
        self._pipe, revision = load_pipeline(options, device, dtype)
        return self, revision

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pipe, name)

    def __call__(self, *, prompt: list[str], **arguments: Any) -> Any:
        self.asked.append(len(prompt))
        if len(prompt) > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._pipe(prompt=prompt, **arguments)


@pytest.mark.parametrize(("most", "asked"), [(8, [7]), (3, [7, 3, 3, 1]), (2, [7, 3, 1, 1, 1, 1, 1, 1, 1])])
def test_a_batch_that_does_not_fit_is_halved_until_it_does(
    small: Pipeline, folder: Path, most: int, asked: list[int]
) -> None:
    whole = draw(small, orders(*range(7)))
    cramped = Cramped(most)
    pipeline = opened(folder / "small-sd", cramped.load)
    answer = pipeline.fetch(pipeline.start(orders(*range(7))))
    assert cramped.asked == asked
    assert [d.prompt for d in answer.drawn] == [d.prompt for d in whole]
    assert answer.fits == (16 if most == 8 else max(asked[1:]) if most == 3 else 1)
    cramped.asked.clear()
    pipeline.start(orders(*range(2)))
    assert cramped.asked in ([2], [1, 1]), "what fits is remembered"


def test_where_not_even_one_picture_fits_the_way_out_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = opened(folder / "small-sd", Cramped(0).load)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 2**31))
    with pytest.raises(ModelError, match=r"not even one picture of 64x64 fits .*1\.0 of 2\.0 GiB free.*offload"):
        pipeline.start(orders(1, 2))


# Pictures that cannot be used


def test_black_blank_and_unsafe_pictures_are_told_from_the_others(folder: Path) -> None:
    noise = torch.rand(3, 64, 64)
    made = torch.stack(
        [torch.zeros(3, 64, 64), torch.full((3, 64, 64), 0.5), noise, noise, torch.full_like(noise, torch.nan)]
    )

    class Prepared(Cramped):
        def __call__(self, **_: Any) -> Any:
            return SimpleNamespace(images=made, nsfw_content_detected=[False, False, True, False, False])

    problems = [d.problem for d in draw(opened(folder / "small-sd", Prepared(5).load), orders(*range(5)))]
    assert problems == ["black", "blank", "stopped by the model's safety checker", "", "black"]


# What a profile lets choose


def test_a_scheduler_of_ones_own_draws_otherwise(small: Pipeline, folder: Path) -> None:
    other = opened(folder / "small-sd", scheduler="EulerDiscreteScheduler")
    assert (small.ready.scheduler, other.ready.scheduler) == ("DDIMScheduler", "EulerDiscreteScheduler")
    assert draw(small, orders(1))[0].pixels != draw(other, orders(1))[0].pixels


def test_guidance_and_a_negative_prompt_reach_the_pipeline(small: Pipeline, folder: Path) -> None:
    plain = draw(small, orders(1, 2))
    guided = draw(opened(folder / "small-sd", guidance=1.0), orders(1, 2))
    avoiding = draw(opened(folder / "small-sd", negative_prompt="a lamp"), orders(1, 2))
    assert len({plain[0].pixels, guided[0].pixels, avoiding[0].pixels}) == 3


def test_a_size_that_a_model_does_not_draw_is_told(small: Pipeline) -> None:
    with pytest.raises(ModelError, match=r"draws no 60x60 as asked: .*divisible by 8.*change images\.width"):
        small.start([Order("a key", 1, 60, 60)])


def test_more_arguments_reach_the_pipeline(folder: Path) -> None:
    long = " ".join(f"word{n}" for n in range(40))
    short = opened(folder / "small-flux", arguments={"max_sequence_length": 80})
    assert (
        short.fit_prompt(long)[1] != ""
        and opened(folder / "small-flux").fit_prompt(long)[1] != short.fit_prompt(long)[1]
    )
    wary = opened(folder / "small-flux", negative_prompt="a lamp", arguments={"true_cfg_scale": 4.0})
    plain = opened(folder / "small-flux")
    assert draw(wary, orders(1))[0].pixels != draw(plain, orders(1))[0].pixels


def test_an_adapter_is_laid_over_the_model_with_its_weight(small: Pipeline, folder: Path, tmp_path: Path) -> None:
    learnt = StableDiffusionPipeline.from_pretrained(folder / "small-sd", safety_checker=None)
    torch.manual_seed(1)
    learnt.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    state = {name: weight for name, weight in learnt.unet.state_dict().items() if "lora" in name}
    layers = {name.replace(".default.", "."): weight * 20 for name, weight in state.items()}
    StableDiffusionPipeline.save_lora_weights(tmp_path / "lines", unet_lora_layers=layers)
    adapter = {"model": str(tmp_path / "lines"), "weight": 0.5}
    laid = opened(folder / "small-sd", adapters=[adapter])
    assert re.fullmatch("StableDiffusionPipeline \\+ lines@[0-9a-f]{16} x 0.5", laid.ready.pipeline)
    assert draw(laid, orders(1))[0].pixels != draw(small, orders(1))[0].pixels
    with pytest.raises(ModelError, match=r"adapter \S+nowhere cannot be laid over the model: "):
        opened(folder / "small-sd", adapters=[{"model": str(tmp_path / "nowhere")}])


def test_half_precision_is_taken_and_told(folder: Path) -> None:
    half = opened(folder / "small-flux", dtype="bfloat16")
    assert half.ready.dtype == "bfloat16"
    assert draw(half, orders(1))[0].problem == ""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles for the CPU with g++")
def test_a_compiled_model_draws_the_same_to_the_eye(small: Pipeline, folder: Path) -> None:
    compiled = draw(opened(folder / "small-sd", compile=True), orders(1))[0]
    apart = np.abs(pixels(compiled).astype(int) - pixels(draw(small, orders(1))[0]).astype(int))
    assert apart.max() <= SAME_TO_THE_EYE


# What cannot be loaded


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("no-text", {}, r"is a DDPMPipeline, which makes no pictures from text alone"),
        ("small-sd", {"scheduler": "DDIMSchedular"}, r"no scheduler 'DDIMSchedular'; did you mean 'DDIMScheduler'"),
        (
            "small-sd",
            {"quantisation": {"backend": "nobits", "options": {"bits": 4}}},
            r"images.options.quantisation: .*nobits",
        ),
        ("small-sd", {"arguments": {"true_cfg": 2}}, r"StableDiffusionPipeline knows no 'true_cfg'"),
        ("small-flux", {"negative_prompt": "a lamp"}, r"only with a true_cfg_scale above 1"),
        ("small-sd", {"scheduler": "AutoencoderKL"}, r"diffusers has no scheduler 'AutoencoderKL'"),
    ],
)
def test_what_cannot_be_loaded_is_told_in_one_line(
    folder: Path, model: str, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        opened(folder / model, **options)
    assert "\n" not in str(caught.value)


def test_a_folder_with_damaged_weights_is_told(folder: Path, tmp_path: Path) -> None:
    broken = stable_diffusion(tmp_path / "broken")
    (broken / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="broken cannot be loaded: "):
        opened(broken)
