"""The diffusion backend against plain diffusers: pictures a second, the device's idle time, what encoding costs.

References, in the same run and in processes of their own: (a) one call a picture; (b) a loop over batches of the best
size, which is found first, that neither encodes nor writes. On a CPU the model is a small Stable Diffusion; where there
is a GPU, pipelines of the size of SDXL and FLUX.1 are built too. Their weights are random, because speed does not
depend on what they say; their text encoders are small, because a build spends its time in the denoiser.
"""

# pyright: basic
from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import Row

RUNS = 5
SAMPLED_EVERY = 0.1
"""Seconds between samples of the GPU's utilisation."""


@dataclass(frozen=True)
class Case:
    """One model at one size."""

    name: str
    side: int
    steps: int
    pictures: int
    batches: tuple[int, ...]
    """Batch sizes that the loop is tried with."""
    device: str


SMALL = Case("small Stable Diffusion, CPU", 64, 12, 32, (1, 4, 8), "cpu")
LARGE = (
    Case("SDXL size, GPU", 1024, 28, 96, (1, 2, 4, 8, 16), "cuda:0"),
    Case("FLUX.1 size, GPU", 1024, 28, 48, (1, 2, 4, 8), "cuda:0"),
)


def measure() -> list[Row]:
    """All figures for what this machine has; five minutes on two cores, about twenty with a GPU."""
    import torch

    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in (SMALL, *(LARGE if torch.cuda.is_available() else ())):
            rows += _measure_case(case, Path(folder))
    return rows


def _measure_case(case: Case, folder: Path) -> list[Row]:
    model = folder / case.name.split()[0]
    _run("build", case, model)
    tried = {size: _run("batched", case, model, size)["rate"] for size in case.batches}
    best = max(tried, key=lambda size: tried[size])
    found: dict[str, list[dict[str, float]]] = {"one": [], "batched": [], "ours": [], "bare": []}
    for _ in range(RUNS):  # in turn, so that what else the machine does falls on all of them
        for kind, runs in found.items():
            with _sample_gpu(case) as busy:
                runs.append(_run(kind, case, model, best))
            runs[-1]["busy"] = busy.get("share", runs[-1].get("busy", 0.0))
    shutil.rmtree(model)
    rates = {kind: [run["rate"] for run in runs] for kind, runs in found.items()}
    batched, ours = statistics.median(rates["batched"]), statistics.median(rates["ours"])
    each, loop, bare = (  # of neighbours in time, because the machine is not the same all the while
        statistics.median(mine / other for mine, other in zip(rates["ours"], rates[kind], strict=True))
        for kind in ("one", "batched", "bare")
    )
    busy = statistics.median(run["busy"] for run in found["ours"])
    added = 1 / bare - 1
    return [
        Row(f"{case.name}: best batch", best, "pictures"),
        Row(f"{case.name}: plain batched loop", batched, "/s"),
        Row(f"{case.name}: ours", ours, "/s"),
        Row(f"{case.name}: ours / one call each", each, "x"),
        Row(f"{case.name}: ours / plain batched loop", loop, "x", ">= 0.97", loop >= 0.97),
        Row(f"{case.name}: device busy", busy, "share", ">= 0.95", busy >= 0.95),
        Row(f"{case.name}: hashing, encoding, writing add", added, "share", "<= 0.03", added <= 0.03),
    ]


def _run(kind: str, case: Case, model: Path, batch: int = 1) -> dict[str, float]:
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.images", kind, case.name, str(model), str(batch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def _sample_gpu(case: Case) -> Iterator[dict[str, float]]:
    """Sample the GPU while something runs; `share` is the mean of what is at work between first and last use."""
    seen: dict[str, float] = {}
    if case.device == "cpu":
        yield seen
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
    samples: list[int] = []
    watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    reader = threading.Thread(target=lambda: samples.extend(int(line) for line in watcher.stdout or ()), daemon=True)
    reader.start()
    try:
        yield seen
    finally:
        watcher.kill()
        reader.join(2)
        drawing = _longest_stretch(samples)
        seen["share"] = statistics.mean(drawing) / 100 if drawing else 0.0


def _longest_stretch(samples: Sequence[int]) -> Sequence[int]:
    """Return the samples of the longest stretch without a second of rest: loading is left out."""
    rest = int(1 / SAMPLED_EVERY)
    best: Sequence[int] = ()
    start, idle = 0, 0
    for place, sample in enumerate([*samples, *[0] * rest]):
        idle = idle + 1 if sample == 0 else 0
        if idle >= rest:
            stretch = samples[start : place - idle + 1]
            best = stretch if len(stretch) > len(best) else best
            start = place + 1
    return best


# What runs in the processes.


def _prompts(case: Case) -> list[str]:
    return [f"A key, a desk, picture {n}. A plain photograph in daylight." for n in range(case.pictures)]


def _plain(case: Case, model: Path, batch: int) -> dict[str, float]:
    import torch
    from diffusers import AutoPipelineForText2Image

    dtype = torch.float32 if case.device == "cpu" else torch.bfloat16
    pipe: Any = AutoPipelineForText2Image.from_pretrained(str(model), dtype=dtype).to(case.device)
    pipe.set_progress_bar_config(disable=True)

    def draw(prompts: Sequence[str]) -> None:
        generators = [torch.Generator("cpu").manual_seed(n) for n, _ in enumerate(prompts)]
        pipe(list(prompts), num_inference_steps=case.steps, width=case.side, height=case.side, generator=generators)

    prompts = _prompts(case)
    draw(prompts[:batch])
    began = time.monotonic()
    for start in range(0, len(prompts), batch):
        draw(prompts[start : start + batch])
    return {"rate": len(prompts) / (time.monotonic() - began)}


def _ours(case: Case, model: Path, batch: int, *, keep: bool) -> dict[str, float]:
    from mirsb_build.images import BackendContext, Images
    from mirsb_build.images.backends.diffusion.backend import Diffusion
    from mirsb_build.images.backends.diffusion.options import Options
    from mirsb_build.ports import RenderedImage
    from mirsb_build.records import ImageSpec
    from mirsb_build.store import Store

    no_model: Any = None
    size = {"width": case.side, "height": case.side}
    words: dict[str, Any] = {"layout": "plain", "index": 1, "count": 2, "candidate": "a", "keywords": ("key", "desk")}
    specs = [ImageSpec(description=prompt, **words, **size) for prompt in _prompts(case)]
    warm = [ImageSpec(description=f"warm {n}", **words, **size) for n in range(batch)]
    options = Options(model=str(model), steps=case.steps, devices=(case.device,), batch=batch, styles=())

    async def run(folder: str) -> dict[str, float]:
        store = Store(folder)
        backend = Diffusion(options, BackendContext(store, no_model, no_model))
        images = Images(backend, store)
        drawn: list[RenderedImage] = []

        async def all_of(specs: Sequence[ImageSpec]) -> None:
            if keep:
                await images.render(specs)
            else:
                drawn.extend([one async for one in backend.render(specs)])

        await all_of(warm)
        drawn.clear()
        began = time.monotonic()
        await all_of(specs)
        wall = time.monotonic() - began
        await backend.close()
        kept = [store.get_call(images.key(spec)) or {} for spec in specs] if keep else []
        seconds = sum(one["seconds"] for one in kept) if keep else sum(one.seconds for one in drawn)
        return {"rate": len(specs) / wall, "busy": min(1.0, seconds / wall)}

    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(run(folder))


def _build(case: Case, model: Path) -> None:
    """Save a pipeline of random weights."""
    from tests.images.pipelines import stable_diffusion

    if case.device == "cpu":
        stable_diffusion(model)
    else:
        large(case.name, model.parent, "cuda").save_pretrained(model)


def large(name: str, words: Path, device: str, **denoiser: Any) -> Any:
    """A pipeline with the denoiser and decoder of SDXL or FLUX.1, by their published configurations.

    `words` is a folder for the tokenizers; `denoiser` overrides its configuration, to try the rest on a small machine.
    """
    import torch
    from diffusers import (
        AutoencoderKL,
        EulerDiscreteScheduler,
        FlowMatchEulerDiscreteScheduler,
        FluxPipeline,
        FluxTransformer2DModel,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

    from tests.images.pipelines import clip_tokenizer, t5_tokenizer

    def clip(width: int, projection: int) -> CLIPTextConfig:
        return CLIPTextConfig(
            vocab_size=1000, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=2,
            num_attention_heads=width // 64, projection_dim=projection, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )  # fmt: skip

    def decoder(channels: int) -> AutoencoderKL:
        return AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=channels,
            scaling_factor=0.3611,
            shift_factor=0.1159 if channels == 16 else None,
            force_upcast=False,
        )

    noise = EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        if "SDXL" in name:
            settings = denoiser or {"transformer_layers_per_block": (1, 2, 10)}
            unet = UNet2DConditionModel(
                sample_size=128,
                block_out_channels=(320, 640, 1280),
                layers_per_block=2,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                attention_head_dim=(5, 10, 20),
                cross_attention_dim=2048,
                addition_embed_type="text_time",
                addition_time_embed_dim=256,
                projection_class_embeddings_input_dim=2816,
                use_linear_projection=True,
                **settings,
            )
            return StableDiffusionXLPipeline(
                vae=decoder(4),
                text_encoder=CLIPTextModel(clip(768, 768)),
                text_encoder_2=CLIPTextModelWithProjection(clip(1280, 1280)),
                tokenizer=clip_tokenizer(words / "words-1"),
                tokenizer_2=clip_tokenizer(words / "words-2"),
                unet=unet,
                scheduler=noise,
            )
        config = T5Config(vocab_size=600, d_model=4096, d_kv=64, d_ff=4096, num_layers=1, num_heads=64)
        return FluxPipeline(
            scheduler=flow,
            vae=decoder(16),
            text_encoder=CLIPTextModel(clip(768, 768)),
            tokenizer=clip_tokenizer(words / "words-1"),
            text_encoder_2=T5EncoderModel(config),
            tokenizer_2=t5_tokenizer(),
            transformer=FluxTransformer2DModel(guidance_embeds=True, **denoiser),
        )


def main() -> None:
    """One measurement; the parent reads the last line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=("build", "one", "batched", "ours", "bare"))
    parser.add_argument("case")
    parser.add_argument("model", type=Path)
    parser.add_argument("batch", type=int)
    asked = parser.parse_args()
    case = next(case for case in (SMALL, *LARGE) if case.name == asked.case)
    found: dict[str, float] = {}
    if asked.kind == "build":
        _build(case, asked.model)
    elif asked.kind in ("one", "batched"):
        found = _plain(case, asked.model, 1 if asked.kind == "one" else asked.batch)
    else:
        found = _ours(case, asked.model, asked.batch, keep=asked.kind == "ours")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
