"""One process a build: the second one says so and stops."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mirsb_build.errors import BuildLocked, StoreError
from mirsb_build.records import content_hash
from mirsb_build.store.files import Files

REVIEW_WAIT = 10
"""Seconds to wait for another process that saves decisions; one save takes milliseconds."""


@contextmanager
def build_lock(files: Files, build: str) -> Generator[None]:
    """Hold the build; raises BuildLocked at once if another process does.

    The lock is the operating system's, so it goes with the process, kill -9 included. For a store that is not a local
    folder it holds on this machine only.
    """
    busy = f"build {build}: another process is working on it; wait for it, or take another build name"
    with _hold(files, build, "", busy, timeout=0):
        yield


@contextmanager
def review_lock(files: Files, build: str) -> Generator[None]:
    """Hold the decisions of a build, which a run does not: reviewers can save while it works.

    Waits for another process that is saving, and raises BuildLocked if that takes too long.
    """
    busy = f"build {build}: another process has been saving decisions for {REVIEW_WAIT} s; try again"
    with _hold(files, build, ".review", busy, timeout=REVIEW_WAIT):
        yield


@contextmanager
def _hold(files: Files, build: str, what: str, busy: str, timeout: float) -> Generator[None]:
    try:
        if files.local:
            path = Path(files.path(f"builds/{build}/{what}.lock"))
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            held = content_hash(files.url, build)[:16]
            path = Path(tempfile.gettempdir()) / f"mirsb-{os.getuid()}-{held}{what}.lock"
        lock = FileLock(path)
        lock.acquire(timeout=timeout)
    except Timeout:
        raise BuildLocked(busy) from None
    except OSError as error:
        raise StoreError(
            f"store {files.url}: cannot be written ({error.strerror}); check who owns it, or give another --store"
        ) from error
    try:
        yield
    finally:
        lock.release()
