"""What a build was made with: the same on every machine, and changed by what can show in its result alone."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mirsb_build.build.environment import PACKAGES, describe
from mirsb_build.config.profiles import load_profile
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.runtime.dependencies import installed


def profile_hash(taxonomy: Taxonomy, prompts: Prompts, *settings: str) -> str:
    return describe(load_profile("offline", settings), taxonomy, prompts).profile


@pytest.mark.parametrize("setting", ["runner.workers=7", "folders=[/tmp]"])
def test_where_and_how_fast_a_build_runs_is_not_what_it_is_made_with(
    taxonomy: Taxonomy, prompts: Prompts, setting: str
) -> None:
    assert profile_hash(taxonomy, prompts, setting) == profile_hash(taxonomy, prompts)


@pytest.mark.parametrize(
    "setting", ["seeds.per_category=4", "images.width=256", "checks.lexical_leakage=null", "name=mine"]
)
def test_what_shows_in_the_result_is(taxonomy: Taxonomy, prompts: Prompts, setting: str) -> None:
    assert profile_hash(taxonomy, prompts, setting) != profile_hash(taxonomy, prompts)


def test_the_packages_are_those_whose_version_shows(taxonomy: Taxonomy, prompts: Prompts) -> None:
    found = describe(load_profile("offline"), taxonomy, prompts)
    assert found.packages == {name: installed(name) for name in PACKAGES}
    assert found.taxonomy == taxonomy.hash
    assert found.prompts == prompts.hashes
    assert installed("no-such-package") is None


def test_the_code_is_known_by_its_commit_or_its_version() -> None:
    """In a process of its own: here the tests fix what it says."""
    command = [sys.executable, "-c", "from mirsb_build.build.environment import code_revision; print(code_revision())"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", told) or told == installed("mirsb-build")
