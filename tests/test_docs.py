"""The documentation says what the program does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mirsb_build.cli.app import app

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_of_commands_is_the_programs_own_help() -> None:
    command = [str(Path(sys.executable).with_name("typer")), "mirsb_build.cli.app", "utils", "docs", "--name", "mirsb"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert (ROOT / "docs/commands.md").read_text().strip() == said.strip(), "`make docs` writes it anew"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/models.md"])
def test_every_link_of_a_page_leads_somewhere(page: str) -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)", (ROOT / page).read_text())
    assert [link for link in links if not ((ROOT / page).parent / link).exists()] == []


def test_the_readme_names_commands_that_exist() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups if group.name}
    named = set(re.findall(r"mirsb ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named and named <= known
