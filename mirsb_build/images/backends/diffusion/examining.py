"""What `mirsb doctor` says of a diffusion model: packages, GPUs, whether the weights are here; nothing is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.diffusion.folders import check_model, is_folder
from mirsb_build.images.backends.diffusion.options import Options
from mirsb_build.runtime.model_files import folder_hash

PACKAGES = ("torch", "diffusers", "transformers", "accelerate")
Finding = tuple[str, bool, str]
"""Name, whether it is in order, detail."""
INSTALL = "pip install 'mirsb-build[diffusion]'"


def examine(options: Options) -> list[Finding]:
    """What is there of all that the options need, as (name, whether it is, detail)."""
    needed = (*PACKAGES, "peft") if options.adapters else PACKAGES
    return [*map(_package, needed), _devices(options), *_models(options)]


def _package(name: str) -> Finding:
    try:
        return name, True, version(name)
    except PackageNotFoundError:
        return name, False, INSTALL


def _devices(options: Options) -> Finding:
    gpus, torch = _gpus(), _package("torch")[2]
    wanted = [device for device in options.devices if device.startswith("cuda")]
    if missing := [d for d in wanted if int(d.partition(":")[2] or 0) >= len(gpus)]:
        return "devices", False, f"{', '.join(missing)} wanted, and nvidia-smi shows {len(gpus)} GPUs; check the driver"
    if gpus and torch.endswith("+cpu") and "cpu" not in options.devices:
        return "devices", False, f"{'; '.join(gpus)}: but torch {torch} has no CUDA; install its CUDA build first"
    if gpus:
        return "devices", True, "; ".join(gpus)
    return "devices", True, "no GPU: the CPU draws, which takes minutes a picture with a large model"


def _gpus() -> list[str]:
    """Name and memory of each GPU, as nvidia-smi says."""
    found = shutil.which("nvidia-smi")
    if found is None:
        return []
    command = [found, "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in said.stdout.splitlines() if line.count(", ") == 2]
    return [f"{name}, {free} of {total} free" for name, free, total in rows] if said.returncode == 0 else []


def _models(options: Options) -> list[Finding]:
    """Whether the model is here, and makes pictures from text."""
    name = f"model {Path(options.model).name if is_folder(options.model) else options.model}"
    try:
        check_model(options.model, options.revision)
        folder, found = _place(options)
    except (ModelError, ImportError) as error:
        return [(name, False, str(error))]
    if folder is None:
        return [(name, False, found)]
    kind = _pipeline_class(folder)
    if kind not in _from_text():
        return [(name, False, f"is a {kind}, which makes no pictures from text alone")]
    return [(name, True, f"{kind}, {found}")]


def _place(options: Options) -> tuple[Path | None, str]:
    """The folder of the model's files and what it is; None, and how to get it, where it is not on this disk."""
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


def _from_text() -> set[str]:
    """Names of the pipelines that make pictures from text alone."""
    try:
        from diffusers.pipelines.auto_pipeline import AUTO_TEXT2IMAGE_PIPELINES_MAPPING as known
    except ImportError:
        return set()
    return {kind.__name__ for kind in known.values()}
