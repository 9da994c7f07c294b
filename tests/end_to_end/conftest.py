"""What the end-to-end tests share: the installed program, one demo run, one Prefect server.

Each of xdist's processes has its own, so give it whole files (`--dist loadfile`; with pytest 9.2 and xdist 3.8
`loadgroup` silently ignores its groups).
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.end_to_end.program import Demo, PrefectServer, Program, answers, free_port, stopped_at_the_end, until


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """The installed program, with no setting of the machine's owner and one home of Prefect's for the session."""
    folder = tmp_path_factory.mktemp("program")
    owner = ("PREFECT_", "MIRSB_", "HF_", "HUGGING_FACE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(owner)}
    quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    homes = {"PREFECT_HOME": str(folder / "prefect"), "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1"}
    return Program(folder, kept | quiet | homes)


@pytest.fixture(scope="session")
def demo(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One run of `mirsb demo`, to be looked at and not changed."""
    store = tmp_path_factory.mktemp("demo") / "store"
    return Demo(store, program("demo", "--store", store))


@pytest.fixture(scope="session")
def prefect_server(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """A real Prefect server on a free port with a database of its own."""
    folder, port = tmp_path_factory.mktemp("prefect"), free_port()
    url = f"http://127.0.0.1:{port}/api"
    ours = program.also(PREFECT_HOME=str(folder / "home"), PREFECT_API_URL=url, PREFECT_SERVER_UI_ENABLED="false")
    server = PrefectServer(url, ours, folder)
    process = ours.start("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), log=server.log)
    with stopped_at_the_end(process):
        until(lambda: process.poll() is not None or answers(f"{url}/health"), lambda: f"no answer yet\n{server.said()}")
        assert process.poll() is None, f"the Prefect server has ended\n{server.said()}"
        yield server
