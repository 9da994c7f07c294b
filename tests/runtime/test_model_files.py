"""Folders of model files: known by what is in them, wherever they lie."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirsb_build.runtime.model_files import SMALL, folder_hash
from mirsb_build.similarity.embedder import Embedder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "modules.json").write_text("[]")
    (folder / "weights").write_bytes(bytes(range(256)) * (2 * SMALL // 256))
    return folder


def test_a_copy_elsewhere_has_the_same_hash(model: Path, tmp_path: Path) -> None:
    assert folder_hash(Path(shutil.copytree(model, tmp_path / "copy"))) == folder_hash(model)


def test_trained_weights_of_the_same_size_have_another_hash(model: Path) -> None:
    before, embedder = folder_hash(model), Embedder(str(model)).identity
    weights = (model / "weights").read_bytes()
    (model / "weights").write_bytes(bytes((byte + 1) % 256 for byte in weights))
    assert folder_hash(model) != before
    assert Embedder(str(model)).identity != embedder


@given(st.dictionaries(st.sampled_from("abcd"), st.binary(max_size=8), min_size=1))
def test_any_change_of_a_small_file_or_a_name_changes_the_hash(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    before = folder_hash(folder)
    first = min(files)
    (folder / first).write_bytes(files[first] + b"!")
    assert folder_hash(folder) != before
    (folder / first).write_bytes(files[first])
    assert folder_hash(folder) == before
    (folder / first).rename(folder / "z")
    assert folder_hash(folder) != before
