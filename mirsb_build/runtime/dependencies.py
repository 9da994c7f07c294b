"""Which packages are installed, told without importing any."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple


def installed(package: str) -> str | None:
    """The version of a package, None where it is not there; faiss counts in any of its builds."""
    for name in (package, "faiss-gpu", "faiss") if package == "faiss-cpu" else (package,):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


CHECKS = "pip install 'mirsb-build[checks]'"


def lacking(packages: Sequence[str], way_out: str = CHECKS) -> str | None:
    """The first of the packages that is not installed, and how to get it, as one line."""
    first = next((package for package in packages if installed(package) is None), None)
    return f"needs {first}; {way_out}" if first else None


class Requirement(NamedTuple):
    """Something that a part of ours needs, as `mirsb doctor` shows it."""

    name: str
    met: bool
    detail: str
    """Its version, or how to get it."""


def package_requirements(packages: Sequence[str], way_out: str) -> list[Requirement]:
    """One requirement a package, looked for without importing any."""
    found = [(package, installed(package)) for package in packages]
    return [Requirement(package, there is not None, there or way_out) for package, there in found]
