"""Running the Prefect flow in this process: quietly, and leaving nothing behind however the process ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mirsb_build.errors import MirsbError

if TYPE_CHECKING:
    from mirsb_build.config import BuildOrder


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
    from flows.build_mirsb import build_mirsb

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
    try:
        server.start()
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise MirsbError(
            f"Prefect's temporary server did not start: {reason}; try again, or set PREFECT_API_URL"
        ) from error
    assert server.server_process is not None
    command = [shell, "-c", 'read _; kill "$0"', str(server.server_process.pid)]  # read ends when this process does
    watcher = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        watcher.kill()
        watcher.wait()
