"""The data set of a release: parquet files in the published schema, with columns of our own after its ten.

Columns 1-10 are those of MIR-SafetyBench (arXiv 2601.14127), by name and type. The features are written in the
spelling that old and new versions of `datasets` read alike: a list feature is a JSON list of one item.
"""

# pyarrow has no types:
# pyright: reportUnknownVariableType=false, reportUnknownParameterType=false, reportUnknownArgumentType=false
from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mirsb_build.records import Image, Instance

ROWS_PER_GROUP = 16
"""Rows written at once; bounds the memory that a release takes."""
BYTES_PER_FILE = 400 * 2**20
"""Images per file, in bytes, before the next one is begun (the Hub advises files under 500 MB)."""

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

COLUMNS: dict[str, tuple[pa.DataType, Any]] = {
    "id": (pa.string(), "string"),
    "category": (pa.string(), "string"),
    "original_question": (pa.string(), "string"),
    "relationship_type": (pa.string(), "string"),
    "revised_prompt": (pa.string(), "string"),
    "image_descriptions": (pa.list_(pa.string()), ["string"]),
    "image_keywords": (pa.list_(pa.string()), ["string"]),
    "images": (pa.list_(_IMAGE), [{"_type": "Image"}]),
    "num_images": (pa.int64(), "int64"),
    "iteration": (pa.int64(), "int64"),
    # Ours:
    "instance": (pa.string(), "string"),
    "image_sha256": (pa.list_(pa.string()), ["string"]),
    "image_credits": (pa.list_(pa.string()), ["string"]),
    "simulated_review": (pa.bool_(), "bool"),
    "canary": (pa.string(), "string"),
}
"""Column -> arrow type, and the feature that `datasets` reads it as."""


def write_parquet(
    folder: Path, rows: Sequence[tuple[int, Instance]], load: Callable[[Image], bytes], canary: str
) -> list[Path]:
    """Write `data/train-<i>-of-<n>.parquet` below `folder`; returns the files."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    waiting = iter(rows)
    group = list(islice(waiting, ROWS_PER_GROUP))
    while group:
        part = folder / "data" / f"part-{len(parts)}"
        parts.append(part)
        compression: Any = _compression()  # a codec a column; the signature knows only one for all
        with pq.ParquetWriter(part, _schema(), compression=compression, use_dictionary=False) as writer:
            while group and part.stat().st_size < BYTES_PER_FILE:
                writer.write_table(_table(group, load, canary))
                group = list(islice(waiting, ROWS_PER_GROUP))
    names = [folder / "data" / f"train-{i:05d}-of-{len(parts):05d}.parquet" for i in range(len(parts))]
    for part, name in zip(parts, names, strict=True):
        part.rename(name)
    return names


def credit(image: Image) -> str:
    """One line that says what an image was made from."""
    named = "; ".join(f"{s.title} by {s.author} ({s.licence}, {s.url})" for s in image.sources)
    if not named and (drawn := image.generation):
        return f"drawn by {drawn.model} at {drawn.revision}, {drawn.steps} steps, seed {drawn.seed}"
    return named or f"made with {image.backend}"


def _schema() -> pa.Schema:
    features = {name: _feature(feature) for name, (_, feature) in COLUMNS.items()}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    return pa.schema([(name, kind) for name, (kind, _) in COLUMNS.items()], metadata=metadata)


def _feature(feature: Any) -> Any:
    """A feature as `datasets` stores it: a dtype's name becomes a Value, a list stays a list of one feature."""
    if isinstance(feature, str):
        return {"dtype": feature, "_type": "Value"}
    return [_feature(item) for item in feature] if isinstance(feature, list) else feature


def _compression() -> dict[str, str]:
    """Text is compressed; PNG bytes are as small as they get."""
    return {name: "zstd" for name in COLUMNS if name != "images"} | {
        "images.list.element.bytes": "none",
        "images.list.element.path": "zstd",
    }


def _table(rows: Sequence[tuple[int, Instance]], load: Callable[[Image], bytes], canary: str) -> pa.Table:
    values = list(_rows(rows, load, canary))
    columns = [pa.array([v[name] for v in values], type=kind) for name, (kind, _) in COLUMNS.items()]
    return pa.Table.from_arrays(columns, schema=_schema())


def _rows(
    rows: Sequence[tuple[int, Instance]], load: Callable[[Image], bytes], canary: str
) -> Iterator[dict[str, Any]]:
    for number, instance in rows:
        candidate = instance.candidate
        images = [p.image for p in candidate.pictures if p.image]
        yield {
            "id": str(number),
            "category": candidate.risk_category,
            "original_question": candidate.seed_query.text,
            "relationship_type": candidate.relation_type,
            "revised_prompt": candidate.prompt,
            "image_descriptions": [p.description for p in candidate.pictures],
            "image_keywords": [", ".join(p.keywords) for p in candidate.pictures],
            "images": [
                {"bytes": load(image), "path": f"{candidate.relation_type}_{number}_{k}.{image.extension}"}
                for k, image in enumerate(images)
            ],
            "num_images": len(images),
            "iteration": candidate.round,
            "instance": instance.id,
            "image_sha256": [image.id for image in images],
            "image_credits": [credit(image) for image in images],
            "simulated_review": instance.simulated,
            "canary": canary,
        }
