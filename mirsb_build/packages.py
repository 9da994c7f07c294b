"""Which packages are installed, told without importing any."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed(package: str) -> str | None:
    """The version of a package, None where it is not there; faiss counts in any of its builds."""
    for name in (package, "faiss-gpu", "faiss") if package == "faiss-cpu" else (package,):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None
