"""What an image backend may use beside its own options."""

from __future__ import annotations

from dataclasses import dataclass

from mirsb_build.config.taxonomy import Policy
from mirsb_build.ports import Asker
from mirsb_build.store import Store


@dataclass(frozen=True)
class BackendContext:
    """What the build shares with its image backend."""

    store: Store
    """For what a backend remembers."""
    models: Asker
    """For one whose pictures are calls of a model."""
    policy: Policy
    """For one that reads captions."""
