"""The documentation says what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mirsb_build.checks import CHECKS, MODEL_CHECKS
from mirsb_build.cli.app import app
from mirsb_build.config.profiles import ImageChoice, ModelChoice
from mirsb_build.images import IMAGE_BACKENDS, find_backend

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_of_commands_is_the_programs_own_help() -> None:
    command = [str(Path(sys.executable).with_name("typer")), "mirsb_build.cli.app", "utils", "docs", "--name", "mirsb"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert (ROOT / "docs/commands.md").read_text().strip() == said.strip(), "`make docs` writes it anew"


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/architecture.md",
        "docs/models.md",
        "docs/images.md",
        "docs/checks.md",
        "docs/judges.md",
        "docs/extending.md",
    ],
)
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_readme_names_commands_that_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    named = set(re.findall(r"mirsb ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named and named <= known


EXAMPLES = re.findall(r"```yaml\n(images:.*?)```", (ROOT / "docs/images.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_of_an_image_backend_is_one_that_it_takes(example: str) -> None:
    said = yaml.safe_load(example)
    choice = ImageChoice.model_validate(said["images"])
    _, options = find_backend(choice)
    assert set(choice.options) <= set(type(options).model_fields)
    for model in said.get("models", {}).values():
        ModelChoice.model_validate(model)


def test_every_image_backend_has_its_place_in_the_docs() -> None:
    page = (ROOT / "docs/images.md").read_text()
    assert [name for name in IMAGE_BACKENDS if f"`{name}`" not in page] == []
    assert len(EXAMPLES) == len(IMAGE_BACKENDS) - 1, "openmoji has no options"


def test_every_check_has_its_row_in_the_docs() -> None:
    page = (ROOT / "docs/checks.md").read_text()
    assert [name for name in CHECKS | MODEL_CHECKS if f"| `{name}` |" not in page] == []
