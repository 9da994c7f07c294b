"""What `mirsb doctor` says of a diffusion model: packages, GPUs, whether the weights are here; nothing is loaded."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mirsb_build.images.diffusion.folders import folder_hash, is_folder
from mirsb_build.images.diffusion.options import Options

PACKAGES = ("torch", "diffusers", "transformers", "accelerate")
INSTALL = "pip install 'mirsb-build[diffusion]'"


def examine(options: Options) -> list[tuple[str, bool, str]]:
    """What is there of all that the options need, as (name, whether it is, detail)."""
    needed = (*PACKAGES, "peft") if options.adapters else PACKAGES
    return [*map(_package, needed), _devices(options), _model(options)]


def _package(name: str) -> tuple[str, bool, str]:
    try:
        return name, True, version(name)
    except PackageNotFoundError:
        return name, False, INSTALL


def _devices(options: Options) -> tuple[str, bool, str]:
    gpus = _gpus()
    wanted = [device for device in options.devices if device.startswith("cuda")]
    if wanted and not gpus:
        return "devices", False, f"{', '.join(wanted)} wanted, and nvidia-smi shows no GPU; check the driver"
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


def _model(options: Options) -> tuple[str, bool, str]:
    model = options.model
    if is_folder(model):
        folder = Path(model)
        if not (folder / "model_index.json").is_file():
            return f"model {folder.name}", False, f"{folder} is no folder of a diffusers pipeline"
        return f"model {folder.name}", True, f"in a folder, contents {folder_hash(folder)}"
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return f"model {model}", False, INSTALL
    here = try_to_load_from_cache(model, "model_index.json", revision=options.revision)
    if isinstance(here, str):
        return f"model {model}", True, f"on this disk, commit {Path(here).parent.name}"
    at = f" --revision {options.revision}" if options.revision else ""
    return f"model {model}", False, f"not on this disk: the build fetches it, or `hf download {model}{at}`"
