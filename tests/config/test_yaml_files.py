"""YAML files: what is wrong with one is told by file and line, with the nearest known key."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from mirsb_build.config.yaml_files import load_model, load_yaml, packaged, yaml_files
from mirsb_build.errors import BadFile
from mirsb_build.records import Record


class Plant(Record):
    name: str
    height: int = Field(default=1, ge=0)


class Garden(Record):
    title: str = ""
    plants: tuple[Plant, ...] = ()
    by_bed: dict[str, Plant] = {}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "garden.yaml"


def write(file: Path, text: str) -> Path:
    file.write_text(dedent(text), encoding="utf-8")
    return file


def blame(file: Path, text: str) -> str:
    """What loading the text is answered with, the file's name taken off."""
    with pytest.raises(BadFile) as caught:
        load_model(write(file, text), Garden)
    told = str(caught.value)
    assert told.startswith(str(file))
    return told.removeprefix(str(file))


def test_a_good_file_is_read(file: Path) -> None:
    garden = load_model(write(file, "title: Mine\nplants:\n  - {name: fern, height: 2}\n"), Garden)
    assert garden == Garden(title="Mine", plants=(Plant(name="fern", height=2),))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("title: [a, b\nplants: []\n", 2),
        ("title: ok\nplants:\n\t- fern\n", 3),
        ("title: 'open\n", 2),
        ("title: a: b\n", 1),
        ("a: *nowhere\n", 1),
    ],
)
def test_text_that_is_not_yaml_is_blamed_on_its_line(file: Path, text: str, line: int) -> None:
    assert blame(file, text).startswith(f", line {line}: is not YAML: ")


@pytest.mark.parametrize("text", ["", "just words\n", "- a\n- b\n", "# a comment alone\n"])
def test_a_file_that_holds_no_mapping_is_told_what_it_should_hold(file: Path, text: str) -> None:
    assert blame(file, text) == ", line 1: must hold a mapping (key: value lines)"


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_mapping_or_a_bad_file_and_never_a_surprise(text: str) -> None:
    check_any_text(text)


@pytest.mark.parametrize("text", ["day: 2026-13-45\n", "count: 0b_\n", "name: !!int fern\n", "a: \x00\n"])
def test_a_value_that_looks_like_one_and_is_none_is_a_bad_file(text: str) -> None:
    check_any_text(text)


def check_any_text(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "any.yaml"
        file.write_text(text, encoding="utf-8", newline="")
        try:
            value = load_yaml(file)
        except BadFile as error:
            assert str(error).startswith(str(file))
            assert len(str(error).splitlines()) == 1
        else:
            assert isinstance(value, dict)


def test_an_unknown_key_is_answered_with_the_nearest_one_and_its_line(file: Path) -> None:
    assert blame(file, "title: Mine\nplnts: []\n") == ", line 2: unknown key 'plnts'; did you mean 'plants'?"
    deep = "title: Mine\nplants:\n  - name: fern\n    hieght: 2\n"
    assert blame(file, deep) == ", line 4: unknown key 'plants.0.hieght'; did you mean 'height'?"
    keyed = "by_bed:\n  north:\n    name: fern\n    nam: moss\n"
    assert blame(file, keyed) == ", line 4: unknown key 'by_bed.north.nam'; did you mean 'name'?"


def test_an_unknown_key_like_no_other_is_named_without_a_guess(file: Path) -> None:
    assert blame(file, "xyzzy: 1\n") == ", line 1: unknown key 'xyzzy'"


def test_a_missing_key_is_named_with_the_line_of_what_lacks_it(file: Path) -> None:
    assert (
        blame(file, "title: Mine\nplants:\n  - name: fern\n  - height: 2\n") == ", line 4: 'plants.1.name' is missing"
    )


def test_a_value_that_does_not_fit_is_named_with_its_line(file: Path) -> None:
    told = blame(file, "plants:\n  - name: fern\n    height: -1\n")
    assert told.startswith(", line 3: plants.0.height: ")
    assert "greater than or equal to 0" in told


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"missing\.yaml: cannot be read: No such file"):
        load_yaml(tmp_path / "missing.yaml")
    with pytest.raises(BadFile, match="cannot be read: Is a directory"):
        load_yaml(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("title: Gärten\n".encode("latin-1"))
    with pytest.raises(BadFile, match=r"latin\.yaml: cannot be read: .*utf-8"):
        load_yaml(tmp_path / "latin.yaml")


def test_the_files_of_a_folder_come_by_name_and_a_missing_folder_has_none(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.txt", "d.yaml~"):
        (tmp_path / name).write_text("a: 1\n")
    assert [p.name for p in yaml_files(tmp_path)] == ["a.yml", "b.yaml"]
    assert list(yaml_files(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("folder", ["prompts", "taxonomy", "profiles"])
def test_our_own_folders_are_found_and_every_yaml_file_in_them_parses(folder: str) -> None:
    assert packaged(folder).is_dir()
    for file in packaged(folder).rglob("*.yaml"):
        assert isinstance(yaml.safe_load(file.read_text(encoding="utf-8")), dict), file
