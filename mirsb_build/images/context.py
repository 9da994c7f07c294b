"""What an image backend may use beside its own options."""

from __future__ import annotations

from dataclasses import dataclass

from mirsb_build.config.taxonomy import Policy
from mirsb_build.ports import Asker
from mirsb_build.store import Store


@dataclass(frozen=True)
class Tools:
    """The store for what a backend remembers, the models for one that asks some, the policy for one that reads."""

    store: Store
    models: Asker
    policy: Policy
