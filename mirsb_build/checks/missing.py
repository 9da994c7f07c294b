"""What a check says when it cannot judge: nothing is passed for want of a package."""

from __future__ import annotations

from mirsb_build.records import Verdict


def abstention(check: str, version: str, reason: str) -> Verdict:
    """The verdict of a check that cannot judge."""
    return Verdict(check=check, version=version, outcome="abstain", reason=reason)
