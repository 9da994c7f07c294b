"""What a check says when it cannot judge: nothing is passed for want of a package."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.packages import installed
from mirsb_build.records import Verdict

WAY_OUT = "pip install 'mirsb-build[checks]'"


def lacking(packages: Sequence[str], way_out: str = WAY_OUT) -> str | None:
    """The first of the packages that is not installed, and how to get it, as the reason to abstain."""
    first = next((package for package in packages if installed(package) is None), None)
    return f"needs {first}; {way_out}" if first else None


def abstention(check: str, version: str, reason: str) -> Verdict:
    """The verdict of a check that cannot judge."""
    return Verdict(check=check, version=version, outcome="abstain", reason=reason)
