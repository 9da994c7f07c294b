"""A diffusers pipeline loaded, and its errors in words for the user."""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportPrivateImportUsage=false
# pyright: reportUnknownParameterType=false
from __future__ import annotations

import difflib
import json
import logging
import os
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import errors as hub
from transformers.utils import logging as transformers_logging

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.folders import is_folder
from mirsb_build.images.backends.diffusion.options import Adapter, Options, Quantisation
from mirsb_build.runtime.model_files import folder_hash


def load_pipeline(options: Options, device: torch.device, dtype: torch.dtype) -> tuple[Any, str]:
    """Load the pipeline onto its device; return it and the revision of its model. Raises ModelError."""
    _silence_libraries()
    folder = _fetch_model(options)
    revision = folder_hash(folder) if is_folder(options.model) else folder.name
    extra: dict[str, Any] = {"variant": options.variant} if options.variant else {}
    if options.quantisation:
        extra["quantization_config"] = _quantisation(options.quantisation)
    try:
        pipe: Any = diffusers.AutoPipelineForText2Image.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, **extra
        )
        pipe.set_progress_bar_config(disable=True)
        if options.scheduler:
            pipe.scheduler = _scheduler(options.scheduler).from_config(pipe.scheduler.config)
        _load_adapters(pipe, options.adapters)
        if options.offload and device.type == "cuda":
            pipe.enable_model_cpu_offload(device=device)
        else:
            pipe.to(device)
        if options.compile:
            _compile(pipe)
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{options.model} does not fit into the memory of {device}; set images.options.offload, quantisation or "
            "dtype, or take a smaller model"
        ) from error
    except ModelError:
        raise
    except Exception as error:  # whatever a library trips over while it loads what the user named
        raise ModelError(_cannot_load(options, folder, error)) from error
    return pipe, revision


def check_device(device: torch.device) -> torch.device:
    """Return the GPU if torch can see it; raises ModelError."""
    seen = torch.cuda.device_count()
    if (device.index or 0) >= seen:
        raise ModelError(
            f"images.options.devices: there is no {device}; torch {torch.__version__} sees {seen} GPUs, and "
            "`mirsb doctor --profile ...` says which there are"
        )
    return device


def _fetch_model(options: Options) -> Path:
    """Return the folder of the model, fetched from the Hub where it is not here yet."""
    model = options.model
    if is_folder(model):
        return Path(model)
    try:
        return Path(diffusers.DiffusionPipeline.download(model, revision=options.revision, variant=options.variant))
    except Exception as error:  # no network shows in many guises: requests', httpx', the Hub's own
        raise ModelError(_cannot_fetch(options, error)) from error


def _cannot_fetch(options: Options, error: Exception) -> str:
    model, revision = options.model, options.revision
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    kinds = {type(cause) for cause in causes}
    if hub.RevisionNotFoundError in kinds:
        return f"{model}: revision {revision!r} does not exist; name a commit, tag or branch of it"
    if hub.GatedRepoError in kinds:
        return f"{model} is gated: accept its terms on the Hub and set HF_TOKEN"
    if hub.RepositoryNotFoundError in kinds:
        return f"{model} is not on the Hub, or not for this HF_TOKEN; check images.options.model"
    at = f" at revision {revision!r}" if revision else ""
    fetch = f"hf download {model}" + (f" --revision {revision}" if revision else "")
    return (
        f"{model}{at} is not on this disk and cannot be fetched ({_summary(causes[-1])}); `{fetch}` where there is "
        "a network, or give a folder"
    )


def _cannot_load(options: Options, folder: Path, error: Exception) -> str:
    if isinstance(error, ValueError) and "AutoPipeline" in str(error):
        kind = json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get(
            "_class_name", "something else"
        )
        return f"{options.model} is a {kind}, which makes no pictures from text alone; name a text-to-image model"
    return f"{options.model} cannot be loaded: {type(error).__name__}: {_summary(error)}"


def _scheduler(name: str) -> Any:
    found = getattr(diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        known = [known for known in dir(diffusers) if known.endswith(("Scheduler", "SchedulerODE"))]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ModelError(f"images.options.scheduler: diffusers has no scheduler {name!r}{hint}")
    return found


def _load_adapters(pipe: Any, adapters: tuple[Adapter, ...]) -> None:
    if not adapters:
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise ModelError(f"{type(pipe).__name__} takes no adapters; take images.options.adapters out")
    for number, adapter in enumerate(adapters):
        try:
            pipe.load_lora_weights(
                adapter.model, weight_name=adapter.file, adapter_name=f"adapter-{number}", revision=adapter.revision
            )
        except Exception as error:  # not there, or not for this model: the library's own words say which
            raise ModelError(f"adapter {adapter.model} cannot be laid over the model: {_summary(error)}") from error
    pipe.set_adapters([f"adapter-{n}" for n in range(len(adapters))], [adapter.weight for adapter in adapters])


def _quantisation(wanted: Quantisation) -> Any:
    try:
        return diffusers.PipelineQuantizationConfig(
            quant_backend=wanted.backend,
            quant_kwargs=wanted.options,
            components_to_quantize=list(wanted.components),
        )
    except Exception as error:
        raise ModelError(f"images.options.quantisation: {_summary(error)}") from error


def _compile(pipe: Any) -> None:
    denoiser = getattr(pipe, "transformer", None) or pipe.unet
    if getattr(denoiser, "_repeated_blocks", None):
        denoiser.compile_repeated_blocks()
    else:
        denoiser.compile()


def _silence_libraries() -> None:
    """No bars and no advice of the libraries: errors are put in our own words."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    for library in (diffusers_logging, transformers_logging):
        library.set_verbosity_error()
        library.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)


def _summary(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
