"""docs/extending.md, run: the public functions, and a check that an installed package adds."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirsb_build.build.context import Context, open_context
from mirsb_build.checks import open_checks
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import UsageError
from mirsb_build.ports import Check
from mirsb_build.runtime import registry
from tests.factories import candidate, evidence, order, picture

PAGE = (Path(__file__).resolve().parents[1] / "docs/extending.md").read_text()
READING, CHECK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def install(folder: Path, name: str, entry_points: str, code: str) -> None:
    """What pip leaves of a package of one module."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that packages are installed in."""
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    registry._installed.cache_clear()
    yield tmp_path / "site"
    registry._installed.cache_clear()
    sys.modules.pop("their_package", None)


def test_builds_and_releases_are_read_as_the_page_shows(
    finished_copy: Context,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work/artifacts").symlink_to(folder)
    exec(READING.replace('"demo"', '"tiny"'), {})
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.endswith(" passed")]) > 0
    assert any("Privacy" in line and "picture" in line for line in lines)


def test_a_check_of_an_installed_package_judges_like_ours(site: Path, taxonomy: Taxonomy) -> None:
    install(site, "their_package", "[mirsb.checks]\ntidy_captions = their_package:TidyCaptions\n", CHECK)
    [tidy] = [check for check in open_checks({"tidy_captions": {}}, taxonomy) if check.name == "tidy_captions"]
    assert isinstance(tidy, Check)
    assert tidy.judge(candidate(), evidence()).outcome == "pass"
    found = tidy.judge(candidate(pictures=(picture("A key."), picture("no sentence"))), evidence())
    assert (found.outcome, found.feedback) == ("fail", "End description 2 with a full stop.")


def test_a_profile_names_it_and_the_filter_asks_it(site: Path, store: object, folder: Path) -> None:
    install(site, "their_package", "[mirsb.checks]\ntidy_captions = their_package:TidyCaptions\n", CHECK)
    opened = open_context(order(folder, "checks.tidy_captions={}"))
    assert "tidy_captions" in [check.name for check in opened.checks]


@pytest.mark.parametrize("group", ["checks", "image_backends", "text_models"])
def test_a_name_that_is_taken_is_refused_with_both_owners(site: Path, folder: Path, group: str) -> None:
    name = {"checks": "structure", "image_backends": "openmoji", "text_models": "offline"}[group]
    install(site, "their_package", f"[mirsb.{group}]\n{name} = their_package:Other\n", "Other = object")
    with pytest.raises(UsageError, match=rf"package their_package adds '{name}' to mirsb.{group}, and there is one"):
        open_context(order(folder))


def test_a_package_that_cannot_be_imported_is_named_in_one_line(site: Path, taxonomy: Taxonomy) -> None:
    code = "raise RuntimeError('half\\nmade')"
    install(site, "their_package", "[mirsb.checks]\nbroken = their_package:Broken\n", code)
    with pytest.raises(UsageError) as caught:
        open_checks({"broken": {}}, taxonomy)
    assert str(caught.value) == (
        "their_package:Broken, which an installed package adds, cannot be loaded (RuntimeError: half made); "
        "mend or uninstall that package"
    )
