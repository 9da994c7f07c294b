"""Print a release as `datasets` loads it: splits, columns with their types, rows with their images decoded.

python load_release.py RELEASE
"""

from __future__ import annotations

import json
import sys
from typing import Any

from datasets import Features, Image, Value, load_dataset


def type_name(feature: Any) -> Any:
    """A feature in plain words: "string", "int", "Image", or a list of one of them."""
    if isinstance(feature, Image):
        return "Image"
    if isinstance(feature, Value):
        return "int" if feature.dtype.startswith("int") else feature.dtype
    return [type_name(feature[0] if isinstance(feature, list) else feature.feature)]


def row_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row with its images decoded, and then told by format and size."""
    for image in row["images"]:
        image.load()
    return row | {"images": [{"format": image.format, "size": image.size} for image in row["images"]]}


def main(release: str) -> None:
    splits = load_dataset(release)
    train = splits["train"]
    features: Features = train.features
    columns = {name: type_name(feature) for name, feature in features.items()}
    print(json.dumps({"splits": list(splits), "columns": columns, "rows": [row_of(row) for row in train]}))


if __name__ == "__main__":
    main(sys.argv[1])
