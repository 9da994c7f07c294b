"""A build with a target, as a user runs it: instances in every cell, a reserve, and reasons in plain words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.end_to_end.program import SIMULATED, Program, all_of, error_line, small

pytestmark = pytest.mark.slow

CELLS = ("--relation", "Analogy", "--relation", "Causality", "--category", "Privacy")
"""Two cells of which the simulated reviewers, who draw from each revision's hash, reject nothing."""


def test_a_target_is_reached_reviewed_and_released(program: Program, tmp_path: Path) -> None:
    store = tmp_path / "store"
    command = ("build", "aimed", "--target-per-cell", "4", *CELLS, *small(SIMULATED), "--store", store)
    done = program(*command)
    assert done.returncode == 0, all_of(done)
    assert "targets      2 of 2 cells have what they are to have" in done.stdout
    status = json.loads(program("status", "aimed", "--json", "--store", store).stdout)
    assert [(cell["target"], cell["missing"]) for cell in status["cells"]] == [(4, 0), (4, 0)]
    assert status["released"] == status["accepted"] == 8
    assert status["passed"] == status["accepted"] + status["rejected"] + status["reserve"]
    told = program("status", "aimed", "--store", store).stdout
    assert "passed / candidates, by cell, 4 wanted in each" in told
    again = program(*command)
    assert "nothing was left to do" in again.stdout
    left = program("plan", *command[1:])
    assert "nothing is left to do" in left.stdout


def test_a_budget_ends_the_build_with_the_cells_that_are_short(program: Program, tmp_path: Path) -> None:
    command = ("build", "aimed", "--target-per-cell", "4", *CELLS, *small(SIMULATED), "--store", tmp_path / "store")
    stopped = program(*command, "--max-calls", "6")
    assert "budget" in error_line(stopped, exit_code=4)
    assert "targets      0 of 2 cells have what they are to have" in stopped.stdout
    assert "Privacy / Analogy: " in stopped.stdout
    assert "(budget: calls 6)" in stopped.stdout
    assert program(*command).returncode == 0, "with a larger one it goes on"


def test_a_limit_ends_the_search_and_is_named(program: Program, tmp_path: Path) -> None:
    command = ("build", "aimed", "--target-per-cell", "4", *CELLS, *small(SIMULATED), "--store", tmp_path / "store")
    done = program(*command, "--limit", "4")
    assert done.returncode == 0, all_of(done)
    assert "the limit of 4 candidates is reached" in done.stdout
