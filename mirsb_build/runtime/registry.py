"""Classes named in a table as `module:Class`, imported only when they are used."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def load_class(row: str) -> Any:
    """The class that a table's row names."""
    module, _, name = row.partition(":")
    return getattr(import_module(module), name)
