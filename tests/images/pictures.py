"""A real collection for the tests: OpenMoji drawings under a free licence, as people keep pictures."""

from __future__ import annotations

import csv
import io
import json
import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from mirsb_build.images.backends.openmoji.corpus import Corpus
from mirsb_build.ports import ImageBackend
from mirsb_build.records import ImageSpec

COLUMNS = ("file_name", "caption", "licence", "author", "url")
COUNT = 210
SIDE = 160
GPS = 0x8825
ORIENTATION = 0x0112
TURNED = 6
"""Orientation of a file that must be turned by 90 degrees to the right to be upright."""


@dataclass(frozen=True)
class Shot:
    """One picture of a collection, with its row."""

    file_name: str
    data: bytes
    caption: str
    licence: str = "CC BY-SA 4.0"
    author: str = "OpenMoji project"
    url: str = "https://openmoji.org"

    @property
    def row(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in COLUMNS}


def png(pixels: Image.Image, **how: Any) -> bytes:
    buffer = io.BytesIO()
    pixels.save(buffer, format="PNG", **how)
    return buffer.getvalue()


def phone_jpeg(pixels: Image.Image) -> bytes:
    """A JPEG as a phone writes it: lying on its side, with the place where it was taken."""
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    exif.get_ifd(GPS).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 18.0)})
    buffer = io.BytesIO()
    pixels.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(buffer, format="JPEG", exif=exif, quality=92)
    return buffer.getvalue()


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of under a hundred bytes that says it has that many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def plain_shot(name: str, caption: str, colour: tuple[int, int, int] = (200, 40, 40), **said: str) -> Shot:
    """A picture of one colour."""
    return Shot(name, png(Image.new("RGB", (80, 80), colour)), caption, **said)


def openmoji_shots(count: int = COUNT) -> list[Shot]:
    """Drawings on white, evenly out of all; each tenth as a phone's JPEG."""
    import resvg_py

    corpus = Corpus()
    wanted = ("1F408", "1F697", "1F58A", "1F4D6", "1F511", "1F680")  # cat, car, pen, book, key, rocket
    step = len(corpus.entries) // count
    entries = [e for e in corpus.entries if e.code in wanted]
    entries += [e for e in corpus.entries[::step] if e.code not in wanted][: count - len(entries)]
    shots: list[Shot] = []
    for number, entry in enumerate(entries):
        svg = corpus.svg(entry.code).decode()
        drawn = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE, skip_system_fonts=True)
        pixels = Image.open(io.BytesIO(drawn)).convert("RGBA")
        white = Image.new("RGBA", pixels.size, (255, 255, 255, 255))
        white.alpha_composite(pixels)
        photo = number % 10 == 9
        data = phone_jpeg(white) if photo else png(white.convert("RGB"))
        shots.append(Shot(f"{entry.code}.{'jpg' if photo else 'png'}", data, entry.title))
    return shots


def as_folder(shots: Sequence[Shot], folder: Path, table: str = "csv") -> Path:
    """The pictures as files beside a table of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for shot in shots:
        (folder / shot.file_name).parent.mkdir(parents=True, exist_ok=True)
        (folder / shot.file_name).write_bytes(shot.data)
    write_table([shot.row for shot in shots], folder, table)
    return folder


def write_table(rows: Sequence[dict[str, Any]], folder: Path, table: str = "csv") -> None:
    file = folder / f"metadata.{table}"
    if table == "csv":
        with file.open("w", newline="", encoding="utf-8") as out:
            writer = csv.DictWriter(out, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    elif table == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(list(rows)), file)


def as_parquet(shots: Sequence[Shot], folder: Path, shards: int = 2) -> Path:
    """The pictures inside parquet files, as the Hub keeps them: {bytes, path}, some rows a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(shots) // shards)
    for number in range(shards):
        rows = [
            {"image": {"bytes": s.data, "path": s.file_name}} | {k: v for k, v in s.row.items() if k != "file_name"}
            for s in shots[number * size : (number + 1) * size]
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"train-{number:05d}.parquet", row_group_size=25)
    return folder


def as_dataset(shots: Sequence[Shot], folder: Path) -> Path:
    """The pictures as `datasets` saves them."""
    import datasets

    columns: dict[str, Any] = {"image": [{"bytes": shot.data, "path": None} for shot in shots]}
    columns |= {name: [getattr(shot, name) for shot in shots] for name in COLUMNS[1:]}
    datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image()).save_to_disk(str(folder))
    return folder


def allot(backend: ImageBackend, specs: Sequence[ImageSpec], used: Collection[str] = ()) -> list[ImageSpec]:
    """The specs with the pictures of the backend's stock that it chooses for them."""
    chosen = zip(specs, backend.allot(specs, used), strict=True)
    return [ImageSpec(**spec.model_dump(exclude={"id"}) | {"source": source}) for spec, source in chosen]
