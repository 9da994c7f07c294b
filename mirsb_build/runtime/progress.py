"""Progress as log records: whoever runs the build decides how they look.

A terminal shows bars, a pipe plain lines, a Prefect worker its own log; the stages and the flow know none of them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

log = logging.getLogger("mirsb")
log.setLevel(logging.INFO)  # else a Prefect worker would keep only warnings of it


@dataclass(frozen=True)
class Step:
    """How far one pass of a stage is, in records: categories for seeds, candidates or instances after that."""

    stage: str
    round: int
    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.name}: {self.done} of {self.total}"

    @property
    def name(self) -> str:
        stage = self.stage.replace("_", " ")
        return f"{stage}, round {self.round}" if self.round else stage


def report(step: Step) -> None:
    """Tell the listeners how far a stage is."""
    log.info("%s", step, extra={"step": step})
