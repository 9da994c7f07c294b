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


@contextmanager
def build_lock(files: Files, build: str) -> Generator[None]:
    """Hold the build; raises BuildLocked at once if another process does.

    The lock is the operating system's, so it goes with the process, kill -9 included. For a store that is not a local
    folder it holds on this machine only.
    """
    try:
        if files.local:
            path = Path(files.path(f"builds/{build}/.lock"))
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            path = Path(tempfile.gettempdir()) / f"mirsb-{os.getuid()}-{content_hash(files.url, build)[:16]}.lock"
        lock = FileLock(path)
        lock.acquire(blocking=False)
    except Timeout:
        raise BuildLocked(
            f"build {build}: another process is working on it; wait for it, or take another build name"
        ) from None
    except OSError as error:
        raise StoreError(
            f"store {files.url}: cannot be written ({error.strerror}); check who owns it, or give another --store"
        ) from error
    try:
        yield
    finally:
        lock.release()
