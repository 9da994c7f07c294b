"""The deployment `build-mirsb/local` on a real Prefect server with a real worker, and the review as a real wait."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.program import (
    CHECKOUT,
    PATIENCE,
    SIMULATED,
    SMALL_IMAGES,
    PrefectServer,
    all_of,
    stopped_at_the_end,
    until,
)

pytestmark = pytest.mark.slow

DEPLOYMENT = "build-mirsb/local"
SMALL = ["limits.candidates=9", *SMALL_IMAGES]


@pytest.fixture(scope="module")
def worker(prefect_server: PrefectServer) -> Iterator[PrefectServer]:
    """The server with the work pool, the deployment and a worker, set up with the commands of prefect.yaml."""
    prefect(prefect_server, "work-pool", "create", "local", "--type", "process")
    prefect(prefect_server, "deploy", "--all", "--no-prompt")
    log = prefect_server.folder / "worker.log"
    process = prefect_server.program.start("prefect", "worker", "start", "--pool", "local", log=log)
    with stopped_at_the_end(process):
        until(lambda: process.poll() is not None or "started!" in log.read_text(), prefect_server.said)
        assert process.poll() is None, f"the worker has ended\n{prefect_server.said()}"
        yield prefect_server


def prefect(server: PrefectServer, *arguments: str) -> str:
    """Run a command of Prefect's in the checkout; returns what it said."""
    done = server.program.run("prefect", *arguments, cwd=CHECKOUT)
    assert done.returncode == 0, f"{all_of(done)}\n{server.said()}"
    return done.stdout


def run_deployment(server: PrefectServer, build: str, store: Path, settings: list[str]) -> str:
    """Run the deployment and wait for its end; returns what Prefect said of it."""
    parameters = {"build": build, "store": str(store), "settings": settings}
    options = [option for name, value in parameters.items() for option in ("-p", f"{name}={json.dumps(value)}")]
    return prefect(server, "deployment", "run", DEPLOYMENT, "--watch", *options)


def ask(server: PrefectServer, path: str, body: dict[str, Any]) -> Any:
    """Ask the server's API."""
    request = urllib.request.Request(
        f"{server.url}/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def runs_of(server: PrefectServer, build: str) -> list[dict[str, Any]]:
    """All flow runs for a build, oldest first."""
    runs = ask(server, "flow_runs/filter", {"sort": "EXPECTED_START_TIME_ASC"})
    return [run for run in runs if run["parameters"]["build"] == build]


def release(store: Path, build: str) -> dict[str, Any]:
    """The manifest of a build's first release."""
    return json.loads((store / f"builds/{build}/release/1/manifest.json").read_text())


def progress(server: PrefectServer, run: dict[str, Any]) -> list[str]:
    """What a run's log says of how far its stages are."""
    logs = ask(server, "logs/filter", {"logs": {"flow_run_id": {"any_": [run["id"]]}}, "limit": 200})
    return [log["message"] for log in logs if log["name"] == "mirsb"]


def test_the_deployment_runs_to_its_end_leaves_a_release_and_logs_how_far_it_is(
    worker: PrefectServer, tmp_path: Path
) -> None:
    said = run_deployment(worker, "deployed", tmp_path, [SIMULATED, *SMALL])
    assert "finished successfully in 'Completed'" in said, f"{said}\n{worker.said()}"
    (run,) = runs_of(worker, "deployed")
    assert run["state"]["type"] == "COMPLETED"
    assert run["state"]["message"].endswith("released")
    assert release(tmp_path, "deployed")["instances"] > 0
    assert (tmp_path / "builds/deployed/report.html").exists()
    until(lambda: "decompose, round 1: 9 of 9" in progress(worker, run), lambda: f"{progress(worker, run)}", seconds=60)


def test_the_deployments_own_parameters_are_those_of_a_whole_build_with_a_simulated_review(
    worker: PrefectServer,
) -> None:
    (deployment,) = ask(worker, "deployments/filter", {})
    assert deployment["parameters"] == {
        "build": "deployed",
        "profile": "offline",
        "store": "artifacts",
        "settings": [SIMULATED],
    }
    assert deployment["entrypoint"] == "flows/build_mirsb.py:build_mirsb"
    assert deployment["pull_steps"] == [
        {"prefect.deployments.steps.set_working_directory": {"directory": str(CHECKOUT)}}
    ]


def test_the_last_decision_that_is_imported_starts_the_run_that_publishes(
    worker: PrefectServer, tmp_path: Path
) -> None:
    store, file = tmp_path / "store", tmp_path / "decisions.jsonl"
    mirsb = worker.program
    said = run_deployment(worker, "by-people", store, SMALL)
    assert "Waiting for review" in said, f"{said}\n{worker.said()}"
    assert not (store / "builds/by-people/release").exists()

    done = mirsb("review", "export", "by-people", "--to", file, "--store", store)
    assert done.returncode == 0, all_of(done)
    rows = [json.loads(line) | {"reviewer": "ann", "decision": "accept"} for line in file.read_text().splitlines()]
    rows[0]["decision"] = "reject"
    for some in (rows[:2], rows[2:]):
        assert len(runs_of(worker, "by-people")) == 1
        file.write_text("".join(json.dumps(row) + "\n" for row in some))
        done = mirsb("review", "import", "by-people", file, "--store", store)
        assert done.returncode == 0, all_of(done)
        assert done.stderr == ""

    manifest = store / "builds/by-people/release/1/manifest.json"
    until(manifest.exists, lambda: f"no release yet\n{worker.said()}", seconds=PATIENCE)
    until(lambda: runs_of(worker, "by-people")[-1]["state"]["type"] == "COMPLETED", worker.said)
    assert release(store, "by-people")["instances"] == len(rows) - 1
    assert release(store, "by-people")["simulated_review"] is False
    waited, published = runs_of(worker, "by-people")  # the first import left instances open, so it started nothing
    assert waited["state"]["name"] == "Waiting for review"
    assert published["created_by"]["type"] == "AUTOMATION"
    assert published["state"]["message"].endswith("released")
