"""What all output shares: the console, JSON for programs, bars on a terminal and plain lines in a pipe."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from mirsb_build.runtime.progress import Step, log

console = Console(highlight=False, soft_wrap=True)


def json_of(record: BaseModel) -> None:
    """A record as JSON on stdout."""
    print(record.model_dump_json(indent=2))


def json_list(records: Sequence[BaseModel]) -> None:
    """Records as a JSON list on stdout."""
    json_value([record.model_dump(mode="json") for record in records])


def json_value(value: object) -> None:
    """Plain JSON values on stdout."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


@contextmanager
def progress() -> Generator[None]:
    """Show the steps of a build as they come: bars on a terminal, lines on stderr elsewhere."""
    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    handler = _Bars() if terminal else _Lines()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with handler:
            yield
    finally:
        log.removeHandler(handler)


class _Bars(logging.Handler):
    """One bar a pass of a stage."""

    def __init__(self) -> None:
        super().__init__()
        columns = (TextColumn("{task.description:<22}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True))
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> None:
        self._progress.start()
        self._waiting = self._progress.add_task("starting", total=None)

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if not isinstance(step, Step):
            self._progress.console.print(record.getMessage(), markup=False)
            return
        self._progress.update(self._waiting, visible=False)
        if step.name not in self._tasks:
            self._tasks[step.name] = self._progress.add_task(step.name, total=step.total)
        self._progress.update(self._tasks[step.name], completed=step.done, total=step.total)


class _Lines(logging.Handler):
    """One line when a pass of a stage is done, and whatever else is worth a line."""

    def __enter__(self) -> None:
        self._said: set[str] = set()

    def __exit__(self, *_: object) -> None: ...

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        line = record.getMessage()
        if not isinstance(step, Step):
            _write_line(line)
        elif step.done == step.total and line not in self._said:
            self._said.add(line)
            _write_line(line)


def _write_line(line: str) -> None:
    """A line on stderr in one write, so that Ctrl-C does not come between it and its end."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
