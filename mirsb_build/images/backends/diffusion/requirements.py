"""What the backend needs (packages, GPUs, weights), looked for without loading any of it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.folders import check_model, is_folder
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.runtime.dependencies import Requirement, installed, package_requirements
from mirsb_build.runtime.model_files import folder_hash

PACKAGES = ("torch", "diffusers", "transformers", "accelerate")
INSTALL = "pip install 'mirsb-build[diffusion]'"


def examine(options: Options) -> list[Requirement]:
    """Look for all that the options need."""
    needed = (*PACKAGES, "peft") if options.adapters else PACKAGES
    return [*package_requirements(needed, INSTALL), _devices(options), _model(options)]


def _devices(options: Options) -> Requirement:
    gpus, torch = _gpus(), installed("torch") or ""
    wanted = [device for device in options.devices if device.startswith("cuda")]
    if missing := [d for d in wanted if int(d.partition(":")[2] or 0) >= len(gpus)]:
        return Requirement(
            "devices", False, f"{', '.join(missing)} wanted, and nvidia-smi shows {len(gpus)} GPUs; check the driver"
        )
    if gpus and torch.endswith("+cpu") and "cpu" not in options.devices:
        return Requirement(
            "devices", False, f"{'; '.join(gpus)}: but torch {torch} has no CUDA; install its CUDA build first"
        )
    if gpus:
        return Requirement("devices", True, "; ".join(gpus))
    return Requirement("devices", True, "no GPU: the CPU draws, which takes minutes a picture with a large model")


def _gpus() -> list[str]:
    """Name and memory of each GPU, as nvidia-smi says."""
    found = shutil.which("nvidia-smi")
    if found is None:
        return []
    command = [found, "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in printed.stdout.splitlines() if line.count(", ") == 2]
    return [f"{name}, {free} of {total} free" for name, free, total in rows] if printed.returncode == 0 else []


def _model(options: Options) -> Requirement:
    """Whether the model is here, and makes pictures from text."""
    name = f"model {Path(options.model).name if is_folder(options.model) else options.model}"
    try:
        check_model(options.model, options.revision)
        folder, found = _find_model(options)
    except (ModelError, ImportError) as error:
        return Requirement(name, False, str(error))
    if folder is None:
        return Requirement(name, False, found)
    kind = _pipeline_class(folder)
    if kind not in _text_pipelines():
        return Requirement(name, False, f"is a {kind}, which makes no pictures from text alone")
    return Requirement(name, True, f"{kind}, {found}")


def _find_model(options: Options) -> tuple[Path | None, str]:
    """Find the folder of the model's files and what it is; None, and how to get it, where it is not on this disk."""
    model, revision = options.model, options.revision
    if is_folder(model):
        return Path(model), f"in a folder, contents {folder_hash(Path(model))}"
    from huggingface_hub import try_to_load_from_cache

    here = try_to_load_from_cache(model, "model_index.json", revision=revision)
    if isinstance(here, str):
        return Path(here).parent, f"on this disk, commit {Path(here).parent.name}"
    fetch = f"hf download {model}" + (f" --revision {revision}" if revision else "")
    return None, f"not on this disk: the build fetches it, or `{fetch}`"


def _pipeline_class(folder: Path) -> str:
    try:
        return str(json.loads((folder / "model_index.json").read_text(encoding="utf-8")).get("_class_name"))
    except (OSError, ValueError, AttributeError):
        return "damaged folder"


def _text_pipelines() -> set[str]:
    """Names of the pipelines that make pictures from text alone."""
    try:
        from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING as known
    except ImportError:
        return set()
    return {kind.__name__ for kind in known.values()}
