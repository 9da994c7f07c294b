"""One method, several engines: a build ends with the same release in its own process, as a flow, and on Dask."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.end_to_end.program import SIMULATED, PrefectServer, Program, all_of, error_line, free_port, small, until

pytestmark = pytest.mark.slow

BUILD = ("build", "same", "--limit", "12", *small(SIMULATED, "limits.shard_size=3"))


def manifest(store: Path) -> str:
    """The manifest of the build's release, which has the checksum of every file of it."""
    return (store / "builds/same/release/1/manifest.json").read_text()


@pytest.fixture(scope="module")
def in_process(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of the build as its own process made it."""
    store = tmp_path_factory.mktemp("own") / "store"
    done = program(*BUILD, "--store", store)
    assert done.returncode == 0, all_of(done)
    return store


def test_a_flow_ends_with_the_same_release(in_process: Path, prefect_server: PrefectServer, tmp_path: Path) -> None:
    done = prefect_server.program(*BUILD, "--prefect", "--store", tmp_path)
    assert done.returncode == 0, f"{all_of(done)}\n{prefect_server.said()}"
    assert manifest(tmp_path) == manifest(in_process)


def test_two_dask_processes_end_with_the_same_release(
    in_process: Path, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    pytest.importorskip("prefect_dask", reason="the extra `dask` is not installed")
    dask = ("--set", "runner={kind: dask, workers: 2}")
    done = prefect_server.program(*BUILD, *dask, "--store", tmp_path)
    assert done.returncode == 0, f"{all_of(done)}\n{prefect_server.said()}"
    release = json.loads(manifest(tmp_path))
    own = json.loads(manifest(in_process))
    for one in (release, own):  # who ran it is a setting, and no part of what is released
        one["made_with"].pop("profile")
    assert release == own


def test_dask_without_a_server_says_how_to_start_one(program: Program, tmp_path: Path) -> None:
    refused = program(*BUILD, "--set", "runner.kind=dask", "--store", tmp_path)
    assert "prefect server start" in error_line(refused, exit_code=2)


def test_a_flow_without_a_server_says_how_to_start_one(program: Program, tmp_path: Path) -> None:
    refused = program(*BUILD, "--prefect", "--store", tmp_path)
    assert "prefect server start" in error_line(refused, exit_code=2)
    nobody = f"http://127.0.0.1:{free_port()}/api"
    refused = program(*BUILD, "--store", tmp_path, PREFECT_API_URL=nobody)
    assert f"Prefect at {nobody} does not answer" in error_line(refused, exit_code=2)


@pytest.mark.parametrize("stage", ["decompose", "synthesize", "filter"])
def test_ctrl_c_ends_a_build_within_two_seconds_and_the_same_command_goes_on(
    in_process: Path, program: Program, tmp_path: Path, stage: str
) -> None:
    """As a terminal does it: every process of the group gets the signal."""
    log = tmp_path / "log"
    command = (*BUILD, "--store", tmp_path / "store")
    process = program.start("mirsb", *command, log=log)
    until(lambda: process.poll() is not None or (tmp_path / f"store/builds/same/{stage}").exists(), log.read_text)
    began = time.monotonic()
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    code = process.wait(timeout=60)
    if code == 0:
        pytest.skip("the build was done before it could be stopped")
    assert code == 130, log.read_text()
    assert time.monotonic() - began < 10, "two seconds on an idle machine"
    assert log.read_text().splitlines()[-1] == "mirsb: stopped; the same command goes on from here"
    assert "Traceback" not in log.read_text()
    done = program(*command)
    assert done.returncode == 0, all_of(done)
    assert manifest(tmp_path / "store") == manifest(in_process)
