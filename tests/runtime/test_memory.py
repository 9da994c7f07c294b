"""Memory: limits that a process sets for itself."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import re, sys, threading
from mirsb_build.runtime.memory import limit_arenas
if sys.argv[1] == "limited":
    assert limit_arenas(2)
together = threading.Barrier(8)
def work():
    kept = [bytes(2000) for _ in range(2000)]
    together.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
import ctypes
ctypes.CDLL(None).malloc_stats()
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc has arenas")
def test_eight_threads_share_the_arenas_that_they_are_limited_to() -> None:
    def arenas(how: str) -> int:
        run = [sys.executable, "-c", PROGRAM, how]
        return subprocess.run(run, capture_output=True, text=True, check=True).stderr.count("Arena ")

    assert arenas("limited") <= 2 < arenas("unlimited")
