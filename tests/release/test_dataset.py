"""The data set: the published schema, ids counted per cell, and a folder that `datasets` opens as it is."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mirsb_build.records import Image, Instance
from mirsb_build.release import dataset
from mirsb_build.release.dataset import credit, write_parquet
from mirsb_build.release.numbers import number
from mirsb_build.store import Store
from tests.factories import accepted, image, noise, passed, picture, png, seed_query, stored_image

PUBLISHED = {
    "id": pa.string(),
    "category": pa.string(),
    "original_question": pa.string(),
    "relationship_type": pa.string(),
    "revised_prompt": pa.string(),
    "image_descriptions": pa.list_(pa.string()),
    "image_keywords": pa.list_(pa.string()),
    "images": pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "num_images": pa.int64(),
    "iteration": pa.int64(),
}
"""The ten columns of the published data set, in their order."""

CELLS = [("Privacy", "Analogy"), ("Privacy", "Causality"), ("Self-Harm", "Analogy")]
cells = st.lists(st.sampled_from(CELLS), max_size=20)


def instance(n: int, category: str = "Privacy", relation: str = "Causality", **changes: Any) -> Instance:
    seed = seed_query(f"How can I hum tune {n}?", category)
    return accepted(passed(**({"seed_query": seed, "relation_type": relation} | changes)))


def drawn(store: Store, n: int, count: int = 2, **changes: Any) -> Instance:
    """An instance with stored images."""
    pictures = [
        picture(f"Thing {k}.", f"thing{k}", "desk", image=stored_image(store, 10 * n + k, 16)) for k in range(count)
    ]
    return instance(n, pictures=tuple(pictures), **changes)


def write(folder: Path, store: Store, instances: Sequence[Instance]) -> list[Path]:
    def load(image: Image) -> bytes:
        return store.get_blob(image.id, image.extension)

    return write_parquet(folder, number(instances, {}), load, "CANARY 1")


# The files


def test_the_columns_are_the_published_ten_and_then_ours(tmp_path: Path, memory_store: Store) -> None:
    [file] = write(tmp_path, memory_store, [drawn(memory_store, 1)])
    assert file.relative_to(tmp_path).as_posix() == "data/train-00000-of-00001.parquet"
    schema = pq.read_schema(file)
    assert {name: schema.field(name).type for name in schema.names[:10]} == PUBLISHED
    assert schema.names[:10] == list(PUBLISHED)
    assert schema.names[10:] == ["instance", "image_sha256", "image_credits", "simulated_review", "canary"]
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert list(features) == schema.names
    assert features["images"] == [{"_type": "Image"}]
    assert features["iteration"] == {"dtype": "int64", "_type": "Value"}


def test_a_row_says_what_its_instance_is(tmp_path: Path, memory_store: Store) -> None:
    one = drawn(memory_store, 1, count=3, round=2, relation_type="Relevance")
    [file] = write(tmp_path, memory_store, [one])
    [row] = pq.read_table(file).to_pylist()
    images = [p.image for p in one.candidate.pictures if p.image]
    assert row == {
        "id": "1",
        "category": "Privacy",
        "original_question": "How can I hum tune 1?",
        "relationship_type": "Relevance",
        "revised_prompt": one.candidate.prompt,
        "image_descriptions": ["Thing 0.", "Thing 1.", "Thing 2."],
        "image_keywords": ["thing0, desk", "thing1, desk", "thing2, desk"],
        "images": [{"bytes": png(noise(10 + k, 16)), "path": f"Relevance_1_{k}.png"} for k in range(3)],
        "num_images": 3,
        "iteration": 2,
        "instance": one.id,
        "image_sha256": [i.id for i in images],
        "image_credits": ["made with tests-1"] * 3,
        "simulated_review": False,
        "canary": "CANARY 1",
    }


def test_datasets_opens_the_folder(tmp_path: Path, memory_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    instances = [drawn(memory_store, n, count=2 + n % 3) for n in range(5)]
    write(tmp_path / "release", memory_store, instances)
    loaded = datasets.load_dataset(str(tmp_path / "release"), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded.column_names[:10] == list(PUBLISHED)
    assert len(loaded) == 5
    assert isinstance(loaded.features["images"].feature, datasets.Image)
    by_id = {i.id: i.candidate for i in instances}
    for row in loaded:
        assert int(row["id"]) >= 1
        assert row["num_images"] == len(row["images"]) == len(by_id[row["instance"]].pictures)
        assert all(isinstance(i, PillowImage.Image) and i.size == (16, 16) for i in row["images"])


def test_a_large_release_is_cut_into_files_and_no_row_is_lost(
    tmp_path: Path, memory_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset, "ROWS_PER_GROUP", 2)
    monkeypatch.setattr(dataset, "BYTES_PER_FILE", 3000)
    instances = [drawn(memory_store, n) for n in range(9)]
    files = write(tmp_path, memory_store, instances)
    assert len(files) > 1
    names = [f"train-{n:05d}-of-{len(files):05d}.parquet" for n in range(len(files))]
    assert [f.name for f in files] == names == sorted(p.name for p in (tmp_path / "data").iterdir())
    rows = [row["instance"] for file in files for row in pq.read_table(file, columns=["instance"]).to_pylist()]
    assert rows == [i.id for _, i in number(instances, {})]


def test_the_same_instances_make_the_same_bytes_whatever_their_order(tmp_path: Path, memory_store: Store) -> None:
    instances = [drawn(memory_store, n, relation_type=r) for n, r in enumerate(["Analogy", "Causality"] * 3)]
    shuffled = random.Random(3).sample(instances, len(instances))
    [one], [same] = write(tmp_path / "a", memory_store, instances), write(tmp_path / "b", memory_store, shuffled)
    assert one.read_bytes() == same.read_bytes()


def test_images_are_stored_as_they_are_in_the_store(tmp_path: Path, memory_store: Store) -> None:
    one = drawn(memory_store, 4)
    [file] = write(tmp_path, memory_store, [one])
    [row] = pq.read_table(file).to_pylist()
    for shown, sha256 in zip(row["images"], row["image_sha256"], strict=True):
        assert shown["bytes"] == memory_store.get_blob(sha256, "png")
        assert PillowImage.open(io.BytesIO(shown["bytes"])).format == "PNG"


def test_a_credit_names_what_an_image_was_made_from() -> None:
    source = {"title": "key", "file": "k.svg", "sha256": "0" * 64, "licence": "CC BY-SA 4.0", "author": "A", "url": "u"}
    made = image(sources=[source, {**source, "title": "desk"}])
    assert credit(made) == "key by A (CC BY-SA 4.0, u); desk by A (CC BY-SA 4.0, u)"
    assert credit(image()) == "made with tests-1"
