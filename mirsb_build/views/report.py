"""`report.html` of a build."""

from __future__ import annotations

from mirsb_build.store import Store


def write_report(store: Store, build: str) -> None:
    """Write the page."""
