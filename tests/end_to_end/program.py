"""The program as its users meet it: processes of its own, started, watched, killed, and asked what they said."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
"""Where `mirsb` and `prefect` lie beside this Python."""
PATIENCE = 300
"""Seconds that a single command may take on a slow machine with other work to do."""
SIMULATED = "review.mode=simulated"
SMALL_IMAGES = ("images.width=128", "images.height=128", "checks.integrity.min_side=64")
"""Settings of a build whose images are drawn fast."""


def small(*more: str) -> list[str]:
    """Arguments of `mirsb build` for a build that is done fast, and more settings."""
    return [argument for setting in (*SMALL_IMAGES, *more) for argument in ("--set", setting)]


@dataclass(frozen=True)
class Program:
    """Runs `mirsb` and other programs of this installation as a user's shell would."""

    folder: Path
    """Working folder: outside the checkout."""
    environment: Mapping[str, str]

    def __call__(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `mirsb` to its end."""
        return self.also(**environment).run("mirsb", *arguments)

    def run(self, name: str, *arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            [str(BIN / name), *map(str, arguments)],
            cwd=cwd or self.folder,
            env=dict(self.environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self, name: str, *arguments: str | Path, log: Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program as the leader of a process group of its own, what it says written to `log`."""
        with log.open("ab") as written:
            return subprocess.Popen(
                [str(BIN / name), *map(str, arguments)],
                cwd=cwd or self.folder,
                env=dict(self.environment),
                stdout=written,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def also(self, **environment: str) -> Program:
        """The same with more environment variables."""
        return Program(self.folder, {**self.environment, **environment})


@dataclass(frozen=True)
class Demo:
    """What `mirsb demo` did."""

    store: Path
    done: subprocess.CompletedProcess[str]

    @property
    def release(self) -> Path:
        return self.store / "builds/demo/release/1"


@dataclass(frozen=True)
class PrefectServer:
    """A running Prefect server, and the program set up to use it."""

    url: str
    program: Program
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def said(self) -> str:
        """The last that the server and its workers wrote: for the message of a failure."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in logs)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to a process and all of its children."""
    with suppress(ProcessLookupError):  # all of them may have ended
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def group_lives(process: subprocess.Popen[bytes]) -> bool:
    """Whether any process of the group is left that `process`, which has ended, was the leader of."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


@contextmanager
def stopped_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop a process and its children when the block is left, however it is left."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
        kill_group(process)


def until(holds: Callable[[], object], what: Callable[[], str], seconds: float = PATIENCE, every: float = 0.2) -> None:
    """Wait until something holds; fails with `what` was waited for when it does not come true."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s: {what()}"
        time.sleep(every)


def answers(url: str) -> bool:
    """Whether a web address answers with success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def all_of(done: subprocess.CompletedProcess[str]) -> str:
    """Everything a command said: for the message of a failure."""
    return f"exit {done.returncode}\n--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"


def error_line(done: subprocess.CompletedProcess[str], exit_code: int) -> str:
    """The one line that a command failed with; checks the exit code, and that nothing else was said but progress."""
    assert done.returncode == exit_code, all_of(done)
    lines = [line for line in done.stderr.splitlines() if not is_progress(line)]
    assert len(lines) == 1 and lines[0].startswith("mirsb: "), all_of(done)
    assert "Traceback" not in done.stdout, all_of(done)
    return lines[0]


def is_progress(line: str) -> bool:
    """Whether a line of stderr says how far a stage is, like `decompose, round 1: 24 of 54`."""
    step, _, counts = line.rpartition(": ")
    done, _, total = counts.partition(" of ")
    return bool(step) and done.isdigit() and total.isdigit()


def files_below(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Every file below a folder: when it was written (ns), its inode, its size; unfinished writes left out."""
    found: dict[str, tuple[int, int, int]] = {}
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if not name.startswith("."):
                stat = path.stat()
                found[path.relative_to(folder).as_posix()] = stat.st_mtime_ns, stat.st_ino, stat.st_size
    return found
