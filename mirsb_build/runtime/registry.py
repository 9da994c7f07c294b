"""Classes named in a table as `module:Class`, imported only when they are used; packages of others add rows.

A package adds one by an entry point in its own pyproject.toml:

    [project.entry-points."mirsb.checks"]
    tidy_captions = "their_package.tidy:TidyCaptions"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from mirsb_build.errors import UsageError


def load_class(row: str) -> Any:
    """The class or function that a table's row names; raises UsageError for one that cannot be imported.

    A missing package of an extra is not this error: modules of ours import what an extra brings when they use it.
    """
    module, _, name = row.partition(":")
    if module.startswith("mirsb_build."):
        return getattr(import_module(module), name)
    try:
        return getattr(import_module(module), name)
    except Exception as error:  # whatever a package of others raises when it is imported
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UsageError(
            f"{row}, which an installed package adds, cannot be loaded ({reason}); mend or uninstall that package"
        ) from error


def with_installed(table: Mapping[str, str], group: str) -> dict[str, str]:
    """A table of ours with the rows that installed packages add; raises UsageError where two have one name."""
    rows = dict(table)
    for name, row, package in _installed(group):
        if name in rows and rows[name] != row:
            raise UsageError(
                f"package {package} adds {name!r} to {group}, and there is one of that name already ({rows[name]}); "
                "uninstall one of the two"
            )
        rows[name] = row
    return rows


@lru_cache
def _installed(group: str) -> tuple[tuple[str, str, str], ...]:
    """Name, row and package of every entry point of a group."""
    found = entry_points(group=group)
    return tuple(sorted((e.name, e.value, e.dist.name if e.dist else "unknown") for e in found))
