"""Running the Prefect flow in this process: quietly, and leaving nothing behind however the process ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mirsb_build.errors import MirsbError

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

    from mirsb_build.records import BuildOrder


def quiet_prefect() -> None:
    """Settings of Prefect for a run in this process, made before it is imported; what the user has set stays.

    Its temporary server prints pages of CancelledError when it is stopped, unless it logs nothing below CRITICAL.
    """
    quiet = "WARNING" if os.environ.get("MIRSB_DEBUG") else "CRITICAL"
    for name, value in {
        "PREFECT_LOGGING_LEVEL": quiet,
        "PREFECT_SERVER_LOGGING_LEVEL": quiet,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
    }.items():
        os.environ.setdefault(name, value)


def run_flow(order: BuildOrder) -> None:
    """Run the flow `build-mirsb` to its end; raises what stopped it."""
    from mirsb_build.flow import build_mirsb

    with _server():
        settings = list(order.settings)
        state = build_mirsb(order.build, order.profile, order.store, settings, order.retry_dead, return_state=True)
    if not state.is_completed():
        state.result(raise_on_failure=True)
        raise MirsbError(f"build {order.build}: the flow ended as {state.name}: {state.message}")


@contextmanager
def _server() -> Generator[None]:
    """Prefect's temporary server, where the user has none, with somebody to end it should this process be killed.

    Prefect stops it when Python exits. After a kill -9 it would go on for ever and hold this process's output open.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import PREFECT_API_URL

    shell = shutil.which("sh")
    if PREFECT_API_URL.value() or shell is None:
        yield
        return
    server = SubprocessASGIServer()
    # The first read takes the server's process id, the second ends when this process does.
    command = [shell, "-c", 'read pid && { read _; kill "$pid"; }']
    watcher = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    told = threading.Thread(target=_tell_of, args=(watcher, server), daemon=True)
    told.start()
    try:
        server.start()
        yield
    except RuntimeError as error:
        if server.running:
            raise
        said = " ".join(str(error).split())
        raise MirsbError(f"Prefect's server did not start: {said}; try again, or set PREFECT_API_URL") from error
    finally:
        watcher.kill()
        watcher.wait()


def _tell_of(watcher: subprocess.Popen[bytes], server: SubprocessASGIServer) -> None:
    """Give the watcher the server's process id as soon as it has one, which is long before it answers."""
    while server.server_process is None and watcher.poll() is None:
        time.sleep(0.01)
    if server.server_process is not None and watcher.stdin is not None:
        with suppress(OSError):  # the watcher is gone: the build ended before its server was up
            watcher.stdin.write(f"{server.server_process.pid}\n".encode())
            watcher.stdin.flush()
