"""What users name is printed as it is, whatever it looks like to a terminal library."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirsb_build import views
from mirsb_build.build.context import Context
from mirsb_build.cli import render
from mirsb_build.cli.publish import publish
from mirsb_build.cli.render import builds, outcome, status
from mirsb_build.history import History
from mirsb_build.views import funnel
from tests.factories import picture


@pytest.mark.parametrize("name", ["[/pub]", "[draft] one", "[bold]loud"])
def test_a_folder_in_brackets_is_written_and_named_as_it_is(
    finished_copy: Context,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    publish("tiny", to=Path(name), repo=None, version=None, store=str(folder))
    assert capsys.readouterr().out.endswith(f"instances in {name.removesuffix('/')}\n")
    assert (tmp_path / name / "manifest.json").is_file()


def test_words_in_brackets_of_a_story_are_shown_as_they_are(
    finished_copy: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    history = History(finished_copy.store, "tiny")
    [*_, last] = next(iter(history.attempts.values()))
    odd = last.model_copy(update={"pictures": (picture("A [bold]key[/] on a desk."),), "prompt": "[/b] and so on"})
    history.attempts[odd.id] = [odd]
    render.story(views.story(history, history.candidates[odd.id]))
    printed = capsys.readouterr().out
    assert "picture 1: A [bold]key[/] on a desk." in printed
    assert "prompt: [/b] and so on" in printed


def test_a_profile_in_brackets_is_shown_as_it_is(finished_copy: Context, capsys: pytest.CaptureFixture[str]) -> None:
    result = funnel(History(finished_copy.store, "tiny")).model_copy(update={"profile": "[red]mild.yaml"})
    status(result)
    builds([result], "[store]")
    builds([], "[store]")
    outcome(result, finished_copy.store, already=True)
    printed = capsys.readouterr().out
    assert printed.count("[red]mild.yaml") == 2
    assert "no builds in [store]" in printed
