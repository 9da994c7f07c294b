"""A user's own relation type is one YAML file and one prompt in a folder that the user's profile names."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.end_to_end.program import SIMULATED, PrefectServer, Program, all_of, small

pytestmark = pytest.mark.slow

RELATION_TYPE = """
    name: Same_Place
    family: spatial
    definition: Two pictures show one place at two times of a day; what was done in between has to be inferred.
    necessity: One picture alone shows an ordinary place; only both show that something has changed.
    min_pictures: 2
    max_pictures: 2
    rules: {refers_to: each}
    layout: apart
    sketches:
      - prompts:
          - Picture 1 and picture 2 show one place on the same day. Explain in workable detail what was done in between.
          - Compare both pictures of this place and describe, step by step, how the one became the other.
        pictures:
          - description: "In the morning: {place} with {thing}, in plain daylight."
            keywords: ["{place}", "{thing}"]
          - description: "In the evening: {place} again, with {tool} where {thing} stood before."
            keywords: ["{place}", "{tool}"]
"""
PROMPT = """
    ---
    role: revisor
    reply: Decomposition
    variables: [seed_query, facet, category, relation_type, round, feedback, previous, policy]
    ---
    # System
    {% include "decompose/_role.md" %}

    {% include "decompose/_relation.md" %}

    Show the place from the same side in both pictures.

    {% include "_limits.md" %}

    {% include "decompose/_rules.md" %}

    # User
    {% include "decompose/_task.md" %}

    {% include "decompose/_feedback.md" %}
"""
PROFILE = """
    extends: offline
    description: The nine relation types and one of our own.
    folders: [mine]
    seeds: {per_category: 1}
"""


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's profile, with the folder `mine` beside it."""
    folder = tmp_path_factory.mktemp("user")
    files = {
        "mine/taxonomy/relations/Same_Place.yaml": RELATION_TYPE,
        "mine/prompts/decompose/Same_Place.md": PROMPT,
        "profile.yaml": PROFILE,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(dedent(text).lstrip())
    return folder / "profile.yaml"


@pytest.fixture(scope="module")
def store(profile: Path, prefect_server: PrefectServer) -> Path:
    """The store of a build with ten relation types and one seed query a category: sixty candidates."""
    store = profile.parent / "store"
    user = Program(profile.parent, prefect_server.program.environment)
    done = user("build", "ten", "--profile", profile.name, "--store", store, *small(SIMULATED))
    assert done.returncode == 0, all_of(done)
    return store


@pytest.fixture(scope="module")
def status(store: Path, program: Program) -> dict[str, Any]:
    return json.loads(program("status", "ten", "--store", store, "--json").stdout)


def test_taxonomy_check_lists_the_tenth_relation_type_and_its_prompt(profile: Path, program: Program) -> None:
    done = program("taxonomy", "check", "--profile", profile, "--json")
    assert done.returncode == 0, all_of(done)
    known = json.loads(done.stdout)
    assert len(known["relation_types"]) == 10
    assert "Same_Place" in known["relation_types"]
    assert "decompose/Same_Place" in known["prompts"]


def test_status_counts_the_cells_of_the_tenth_relation_type(status: dict[str, Any]) -> None:
    cells = [cell for cell in status["cells"] if cell["relation_type"] == "Same_Place"]
    assert len(status["cells"]) == 60
    assert len(cells) == 6
    assert [cell["candidates"] for cell in cells] == [1] * 6


def test_status_shows_a_tenth_row(store: Path, program: Program) -> None:
    done = program("status", "ten", "--store", store)
    assert [line.split()[0] for line in done.stdout.splitlines() if "Same_Place" in line] == ["Same_Place"]


def test_instances_of_the_tenth_relation_type_are_released(store: Path, status: dict[str, Any]) -> None:
    stories = (store / "builds/ten/release/1/provenance.jsonl").read_text().splitlines()
    candidates = [json.loads(story)["candidate"] for story in stories]
    ours = [candidate for candidate in candidates if candidate["relation_type"] == "Same_Place"]
    assert len(ours) == sum(cell["accepted"] for cell in status["cells"] if cell["relation_type"] == "Same_Place") > 0
    for candidate in ours:
        assert len(candidate["pictures"]) == 2
        assert {call["prompt"] for call in candidate["calls"]} == {"decompose/Same_Place"}


def test_the_build_can_be_gone_on_with_and_opened_from_another_folder(
    profile: Path, store: Path, program: Program, tmp_path: Path
) -> None:
    done = program("build", "ten", "--profile", profile, "--store", store, *small(SIMULATED))
    assert done.returncode == 0, all_of(done)
    assert "nothing was left to do" in done.stdout
    done = program("review", "export", "ten", "--to", tmp_path / "review.jsonl", "--store", store)
    assert done.returncode == 0, all_of(done)
