"""What a profile may say of the user's picture collection."""

from __future__ import annotations

from pydantic import Field

from mirsb_build.images.normalise import Fit
from mirsb_build.records import Record
from mirsb_build.similarity.embedder import PACKAGED

PILLOWS_LIMIT = 89_478_485
"""Pixels above which Pillow itself warns of a bomb."""
REQUIRED = ("caption", "licence", "author", "url")
"""Columns that a row must fill: without the last three a picture may not be passed on."""


class Columns(Record):
    """The user's names of the columns; empty where one of the usual spellings is there."""

    image: str = ""
    """File name below the folder, or the picture's bytes."""
    caption: str = ""
    licence: str = ""
    author: str = ""
    url: str = ""


class Options(Record):
    """Which pictures, and how they are looked for."""

    corpus: str = Field(min_length=1)
    """A folder with a metadata file, a parquet file or glob, a saved data set, or `hub:ORG/NAME`; may be a URL."""
    split: str = ""
    """Split of a data set that has several."""
    columns: Columns = Columns()
    embedder: str | None = PACKAGED
    """The packaged model, the folder or Hub name of a sentence-transformers model, or null for words alone."""
    fit: Fit = "crop"
    most_pixels: int = Field(default=80_000_000, gt=0, le=PILLOWS_LIMIT)
    """Pictures of more pixels are refused before they are decoded."""
