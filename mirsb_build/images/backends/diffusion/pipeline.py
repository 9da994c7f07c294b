"""A diffusers pipeline on one device: loaded once, it draws batches that fit and says which pictures show nothing."""

# torch, diffusers and transformers are untyped in most of what is used here:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateImportUsage=false
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import difflib
import inspect
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.folders import model_identity
from mirsb_build.images.backends.diffusion.loading import check_device, load_pipeline
from mirsb_build.images.backends.diffusion.messages import Answer, Drawn, Order, Ready
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.images.blank import why_blank
from mirsb_build.records import canonical_json

PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "peft")
TOKENIZERS = ("tokenizer", "tokenizer_2", "tokenizer_3", "tokenizer_4")
NO_WINDOW = 100_000
"""Tokenizers without a limit state a length beyond this."""

Load = Callable[[Options, torch.device, torch.dtype], tuple[Any, str]]
"""Loads a pipeline of diffusers onto its device; returns it and the revision of its model."""


@dataclass(frozen=True)
class Part:
    """Pictures that the device drew, or draws, in one go."""

    prompts: tuple[tuple[str, str], ...]
    """Each as it was given to the text encoders, and what was cut off it."""
    pixels: torch.Tensor
    """(n, height, width, 3) uint8, on its way from the device."""
    copied: Any
    """Event that is over when `pixels` are here; None on a CPU."""
    unsafe: tuple[bool, ...]
    """What the pipeline's safety checker stopped."""


@dataclass(frozen=True)
class Batch:
    """What was started for a batch of orders."""

    parts: tuple[Part, ...]
    began: float
    fits: int


class Pipeline:
    """One model on one device. `start` queues a batch on the device, `fetch`, in another thread, waits for it."""

    def __init__(self, options: Options, device: str = "", load: Load = load_pipeline) -> None:
        """Load the model with `load`; raises ModelError in words for the user where that cannot be."""
        self._options = options
        self._device = torch.device(device or ("cuda:0" if torch.cuda.is_available() else "cpu"))
        if self._device.type == "cuda":  # streams, events and libraries that name no device mean the current one
            torch.cuda.set_device(check_device(self._device))
        dtype = _dtype(options, self._device)
        self._pipe, revision = load(options, self._device, dtype)
        self._fits: dict[tuple[int, int], int] = {}
        """(Width, height) -> largest batch that is known to fit."""
        self._fetched = 0.0
        """When the last batch was over, by the monotonic clock."""
        self._wanted = _arguments(self._pipe, options)
        self.windows = _windows(self._pipe, self._wanted)
        """The tokenizers, each with the tokens that its encoder is given."""
        self.ready = Ready(
            pipeline=_describe(self._pipe, options),
            revision=revision,
            scheduler=type(self._pipe.scheduler).__name__,
            guidance=_guidance(self._pipe, self._wanted),
            dtype=str(dtype).removeprefix("torch."),
            device=_device_name(self._device),
            others=_others(self._device, device),
            versions=_versions(self._device),
        )

    def start(self, orders: Sequence[Order]) -> Batch:
        """Draw orders of one shape, in as many parts as memory asks for; raises ModelError where not even one fits."""
        shape = orders[0].width, orders[0].height
        began = time.monotonic()
        parts: list[Part] = []
        waiting = list(orders)
        while waiting:
            size = min(len(waiting), self._fits.get(shape, len(waiting)))
            part = self._try_to_draw(waiting[:size])
            if part is not None:
                parts.append(part)
                del waiting[:size]
                continue
            if size == 1:
                raise ModelError(self._too_large(shape))
            self._fits[shape] = size // 2
            if self._device.type == "cuda":
                torch.cuda.empty_cache()  # what the attempt left behind, in pieces that the smaller one cannot use
        return Batch(tuple(parts), began, self._fits.get(shape, self._options.batch))

    def fetch(self, batch: Batch) -> Answer:
        """The pictures of a batch, once the device is done with them."""
        drawn = [one for part in batch.parts for one in self._fetch(part)]
        now = time.monotonic()
        seconds, self._fetched = now - max(batch.began, self._fetched), now
        return Answer(tuple(drawn), seconds, batch.fits)

    def _try_to_draw(self, orders: Sequence[Order]) -> Part | None:
        """Draw some orders; None where they do not fit into memory."""
        try:
            return self._draw(orders)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            return None
        except ValueError as error:  # a size or an argument that the pipeline does not take
            reason = " ".join(str(error).split())[:200]
            size = f"{orders[0].width}x{orders[0].height}"
            raise ModelError(
                f"{self._options.model} draws no {size} as asked: {reason}; change images.width, images.height or "
                "images.options"
            ) from error

    def _draw(self, orders: Sequence[Order]) -> Part:
        prompts = tuple(self.fit_prompt(order.prompt) for order in orders)
        # Noise from the CPU's generator is the same on every device.
        generators = [torch.Generator("cpu").manual_seed(order.seed) for order in orders]
        arguments: dict[str, Any] = dict(self._wanted)
        if "negative_prompt" in arguments:
            arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(orders)
        with torch.inference_mode():
            output = self._pipe(
                prompt=[prompt for prompt, _ in prompts],
                width=orders[0].width,
                height=orders[0].height,
                num_inference_steps=self._options.steps,
                generator=generators,
                output_type="pt",
                **arguments,
            )
            bytes_there = (output.images.float().nan_to_num(0.0).clamp(0, 1) * 255).round().to(torch.uint8)
            pixels, copied = _copy_to_host(bytes_there.permute(0, 2, 3, 1).contiguous())
        unsafe = getattr(output, "nsfw_content_detected", None) or [False] * len(orders)
        return Part(prompts, pixels, copied, tuple(map(bool, unsafe)))

    def _fetch(self, part: Part) -> list[Drawn]:
        if part.copied is not None:
            part.copied.synchronize()
        drawn: list[Drawn] = []
        for (prompt, cut), pixels, unsafe in zip(part.prompts, part.pixels.numpy(), part.unsafe, strict=True):
            problem = "stopped by the model's safety checker" if unsafe else why_blank(pixels)
            height, width = pixels.shape[:2]
            data = None if problem else np.ascontiguousarray(pixels).tobytes()
            drawn.append(Drawn(data, prompt, cut, problem, width, height))
        return drawn

    def fit_prompt(self, prompt: str) -> tuple[str, str]:
        """Cut the prompt to what the widest text encoder reads, in whole words; return that and the rest."""
        if any(_fits(tokenizer, window, prompt) for tokenizer, window in self.windows) or not self.windows:
            return prompt, ""
        tokenizer, window = max(self.windows, key=lambda one: one[1])
        words = prompt.split()
        low, high = 0, len(words)
        while low < high:  # tokens grow with words, so the longest beginning that fits is found by halving
            middle = (low + high + 1) // 2
            low, high = (middle, high) if _fits(tokenizer, window, " ".join(words[:middle])) else (low, middle - 1)
        return " ".join(words[:low]), " ".join(words[low:])

    def _too_large(self, shape: tuple[int, int]) -> str:
        free, total = (round(n / 2**30, 1) for n in torch.cuda.mem_get_info(self._device))
        return (
            f"{self._options.model}: not even one picture of {shape[0]}x{shape[1]} fits into the memory of "
            f"{_device_name(self._device)} ({free} of {total} GiB free); make images.width and images.height smaller, "
            "or set images.options.offload, quantisation or dtype"
        )


def _copy_to_host(pixels: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """Begin to copy the pixels to the CPU; return them and the event that is over when they have arrived."""
    if pixels.device.type != "cuda":
        return pixels.cpu(), None
    here = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
    here.copy_(pixels, non_blocking=True)
    copied = torch.cuda.Event(blocking=True)
    copied.record(torch.cuda.current_stream(pixels.device))
    return here, copied


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device ran out of memory; libraries below torch say so in a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in str(error)


def _arguments(pipe: Any, options: Options) -> dict[str, Any]:
    """What the profile wants of every call; raises ModelError for what the pipeline would ignore or not know."""
    called = inspect.signature(pipe.__call__).parameters
    wanted: dict[str, Any] = {"guidance_scale": options.guidance, "negative_prompt": options.negative_prompt}
    wanted = {name: value for name, value in wanted.items() if value is not None} | options.arguments
    name = type(pipe).__name__
    if unknown := [argument for argument in wanted if argument not in called]:
        near = difflib.get_close_matches(unknown[0], list(called), n=1)
        hint = f"did you mean {near[0]!r}" if near else "take it out of images.options"
        raise ModelError(f"{name} knows no {unknown[0]!r}; {hint}")
    if "negative_prompt" in wanted and "true_cfg_scale" in called and wanted.get("true_cfg_scale", 1) <= 1:
        raise ModelError(
            f"{name} reads a negative prompt only with a true_cfg_scale above 1; set images.options.arguments: "
            "{true_cfg_scale: 4}, or take negative_prompt out"
        )
    return wanted


def _guidance(pipe: Any, wanted: dict[str, Any]) -> float | None:
    """The guidance that is used; None where the pipeline knows none."""
    default = inspect.signature(pipe.__call__).parameters.get("guidance_scale")
    found: Any = wanted.get("guidance_scale", default.default if default else None)
    return float(found) if isinstance(found, (int, float)) else None


def _windows(pipe: Any, wanted: dict[str, Any]) -> list[tuple[Any, int]]:
    """The pipeline's tokenizers, each with the tokens that its encoder is given."""
    asked = inspect.signature(pipe.__call__).parameters.get("max_sequence_length")
    longest: int | None = wanted.get("max_sequence_length", asked.default) if asked else None
    windows: list[tuple[Any, int]] = []
    for name in TOKENIZERS:
        tokenizer = getattr(pipe, name, None)
        if tokenizer is None or not callable(tokenizer):
            continue
        window = int(getattr(tokenizer, "model_max_length", NO_WINDOW))
        if longest and "clip" not in type(tokenizer).__name__.lower():
            window = min(window, longest) if window < NO_WINDOW else longest
        windows.append((tokenizer, min(window, NO_WINDOW)))
    return windows


def _fits(tokenizer: Any, window: int, text: str) -> bool:
    return len(tokenizer(text, truncation=False).input_ids) <= window


def _dtype(options: Options, device: torch.device) -> torch.dtype:
    if options.dtype == "auto":
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return getattr(torch, options.dtype)


def _describe(pipe: Any, options: Options) -> str:
    """The pipeline's class and what was laid over it."""
    extras = [f"{model_identity(a.model, a.revision)} x {a.weight:g}" for a in options.adapters]
    if bits := options.quantisation:
        extras.append(f"{bits.backend} {canonical_json(bits.options)} of {', '.join(bits.components)}")
    return " + ".join([type(pipe).__name__, *extras])


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _others(device: torch.device, named: str) -> tuple[str, ...]:
    """The GPUs beside the first one, where the profile names none."""
    if named or device.type != "cuda":
        return ()
    return tuple(f"cuda:{n}" for n in range(1, torch.cuda.device_count()))


def _versions(device: torch.device) -> dict[str, str]:
    versions: dict[str, str] = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except ImportError:
            continue
    if device.type == "cuda":
        versions |= {"cuda": str(torch.version.cuda), "driver": _driver()}
    return versions


def _driver() -> str:
    """Version of the GPU's driver, as nvidia-smi says."""
    found = shutil.which("nvidia-smi")
    if found is None:
        return "unknown"
    command = [found, "--query-gpu=driver_version", "--format=csv,noheader"]
    printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout.split()
    return printed[0] if printed else "unknown"
