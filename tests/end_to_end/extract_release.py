"""Write a release, of which only the ten columns are known, to the files that the benchmark's evaluation reads.

    <Category>/<Relation>_final.json
    <Category>/images/<Relation>/<Relation>_<id>_<k>.png

The published layout (METHOD.md) in our own words. Ids have to be numbers: they order the instances of a file.

python extract_release.py RELEASE TARGET
"""

from __future__ import annotations

import json
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from datasets import load_dataset


def cell_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["category"], row["relationship_type"]


def extracted(row: dict[str, Any], images: Path) -> dict[str, Any]:
    """Write the images of a row; returns the row with their paths below `images` in their place."""
    folder = images / row["relationship_type"]
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{row['relationship_type']}_{int(row['id'])}_{k}.png" for k in range(row["num_images"])]
    for name, image in zip(names, row["images"], strict=True):
        image.save(folder / name)
    words = {
        name: row[name]
        for name in ("original_question", "revised_prompt", "image_descriptions", "image_keywords", "iteration")
    }
    return {"id": int(row["id"]), **words, "images": [f"{row['relationship_type']}/{name}" for name in names]}


def main(release: str, target: str) -> None:
    rows = sorted(load_dataset(release)["train"], key=lambda row: (cell_of(row), int(row["id"])))
    for (category, relation), of_the_cell in groupby(rows, key=cell_of):
        folder = Path(target, category)
        instances = [extracted(row, folder / "images") for row in of_the_cell]
        (folder / f"{relation}_final.json").write_text(json.dumps(instances, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main(*sys.argv[1:])
