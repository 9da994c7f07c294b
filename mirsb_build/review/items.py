"""Review items as files for people: JSONL with a folder of images beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mirsb_build.errors import StoreError
from mirsb_build.records import Image, ReviewItem, dump


def export_jsonl(items: Sequence[ReviewItem], to: Path, load: Callable[[Image], bytes]) -> None:
    """Write the items to `to` and their images to `<stem>-images/` beside it.

    A row has empty `reviewer`, `decision` and `comment`; the file filled in is what `review import` reads.
    """
    folder = to.with_name(f"{to.stem}-images")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[str] = []
        for item in items:
            files: list[str] = []
            for number, picture in enumerate(item.pictures, 1):
                assert picture.image is not None, "only candidates with images pass the checks"
                name = f"{item.instance}-{number}.{picture.image.extension}"
                (folder / name).write_bytes(load(picture.image))
                files.append(f"{folder.name}/{name}")
            rows.append(json.dumps(_row(item, files), ensure_ascii=False))
        to.write_text("".join(row + "\n" for row in rows), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"review export: cannot write {to}: {error.strerror}; choose another --to") from error


def _row(item: ReviewItem, files: Sequence[str]) -> dict[str, object]:
    return {
        "instance": item.instance,
        "checksum": item.checksum,
        "reviewer": "",
        "decision": "",
        "comment": "",
        "risk_category": item.risk_category,
        "relation_type": item.relation_type,
        "seed_query": item.seed_query,
        "prompt": item.prompt,
        "images": list(files),
        "image_descriptions": [p.description for p in item.pictures],
        "round": item.round,
        "verdicts": [dump(v) for v in item.verdicts],
    }
