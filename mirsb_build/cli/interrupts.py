"""Ctrl-C: a build ends at once, because everything that it has finished is kept anyway."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

STOPPED = "mirsb: stopped; the same command goes on from here"
PATIENCE = 1.0
"""Seconds in which what is under way may end by itself; a picture or a batch of texts can take longer."""


@contextmanager
def promptly() -> Generator[None]:
    """Let Ctrl-C end the process, with exit code 130, after whatever is under way has had a second to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _leave()
    finally:
        signal.signal(signal.SIGINT, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough
    timer = threading.Timer(PATIENCE, _leave)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def _leave() -> None:
    """End the process as a kill would, which no build minds; the terminal gets its cursor back."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h\n")
    print(STOPPED, file=sys.stderr, flush=True)
    os._exit(130)
