"""What a profile lets choose of a diffusion model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from mirsb_build.images.backends.diffusion.folders import model_identity
from mirsb_build.images.prompting import STYLES
from mirsb_build.records import Record


class Adapter(Record):
    """A LoRA laid over the model."""

    model: str
    """Folder, or name on a Hub."""
    revision: str | None = None
    """Commit, tag or branch on the Hub."""
    file: str | None = None
    """Name of the weights in it, where there are several."""
    weight: float = 1.0


class Quantisation(Record):
    """Fewer bits for some of the pipeline's parts, in diffusers' own words."""

    backend: str
    """For example `bitsandbytes_4bit`, `bitsandbytes_8bit`, `torchao`."""
    options: dict[str, Any] = {}
    """What the backend lets choose, for example `load_in_4bit: true`."""
    components: tuple[str, ...] = Field(default=("transformer",), min_length=1)


class Options(Record):
    """A diffusers pipeline and how it draws; what is not given is the pipeline's own default."""

    model: str
    """Folder, or name on a Hub."""
    revision: str | None = None
    """Commit, tag or branch on the Hub; a commit is the only one that stays what it is."""
    variant: str | None = None
    """Of the weight files, for example `fp16`."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on a GPU, float32 on a CPU."""
    steps: int = Field(default=28, ge=1, le=500)
    guidance: float | None = Field(default=None, ge=0)
    negative_prompt: str | None = None
    arguments: dict[str, Any] = {}
    """More arguments of the pipeline's call, for example `max_sequence_length` or `true_cfg_scale`."""
    scheduler: str | None = None
    """A scheduler class of diffusers, in place of the pipeline's."""
    adapters: tuple[Adapter, ...] = ()
    quantisation: Quantisation | None = None
    compile: bool = False
    """Compile the denoiser; pays after some hundred pictures."""
    offload: bool = False
    """Keep on the GPU only the part that is at work: slower, for small memories."""
    styles: tuple[str, ...] = STYLES
    """Ways to draw; every picture, or every candidate that shares its style, gets one of them."""
    retries: int = Field(default=2, ge=0, le=20)
    """How often a black, blank or safety-checked picture is made again with the next seed."""
    devices: tuple[str, ...] = ()
    """For example `cuda:0`, or `cpu`; empty means all GPUs, or the CPU where there is none."""
    batch: int = Field(default=16, ge=1, le=1024)
    """Pictures at once that are tried first; halved until they fit."""

    @field_validator("model")
    @classmethod
    def _is_named(cls, model: str) -> str:
        if not model.strip():
            raise ValueError("name a folder or a model on a Hub")
        return str(Path(model).expanduser()) if model.startswith("~") else model

    @field_validator("devices")
    @classmethod
    def _are_devices(cls, devices: tuple[str, ...]) -> tuple[str, ...]:
        for device in devices:
            if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", device):
                raise ValueError(f"{device!r} is no device; write cpu, mps, cuda or cuda:N")
        return devices

    def drawing(self) -> dict[str, Any]:
        """What the pixels depend on, beside the model itself."""
        how_fast_not_what = {"model", "revision", "retries", "devices", "batch", "offload", "compile"}
        adapters = [[model_identity(a.model, a.revision), a.file, a.weight] for a in self.adapters]
        return self.model_dump(mode="json", exclude=how_fast_not_what) | {"adapters": adapters}
