"""Pictures: what an image backend is asked for, what it made, and where every pixel is from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AliasChoices, Field

from mirsb_build.records.base import ID_LENGTH, Identified, Record, content_hash

Bond = Literal["style", "scene", "noise"]
"""What pictures of one candidate can share: the style they are drawn in, the scene they show, the initial noise."""


class ImageSpec(Identified):
    """What an image backend is asked for: one picture of a candidate."""

    description: str
    keywords: tuple[str, ...]
    layout: str
    """How the relation type wants the picture composed (relation type's `layout`)."""
    index: int = Field(ge=1)
    """Place of the picture in the candidate, from 1."""
    count: int = Field(ge=1)
    candidate: str = Field(validation_alias=AliasChoices("candidate", "anchor"))
    """Id of the candidate: its pictures share palette and ground. Records of before 2026-11-25 say `anchor`."""
    group_keywords: tuple[tuple[str, ...], ...] = Field(
        default=(), validation_alias=AliasChoices("group_keywords", "companions")
    )
    """Keywords of all pictures of the candidate, for layouts that cut one whole into pieces and for shared scenes.
    Records of before 2026-11-25 say `companions`."""
    shares: tuple[Bond, ...] = ()
    """What the picture has in common with the others of its candidate (relation type's `shares`)."""
    source: str = ""
    """Picture of a stock that was allotted to this place; empty where the backend draws."""
    width: int = Field(default=512, gt=0)
    height: int = Field(default=512, gt=0)

    def canonical(self) -> dict[str, Any]:
        """What is hashed, without the id, in words that stay as they are whatever the fields are called.

        Ids decide what is drawn and where the call cache has it: other words here would have all pictures made again.
        """
        return {
            "description": self.description,
            "keywords": self.keywords,
            "layout": self.layout,
            "index": self.index,
            "count": self.count,
            "anchor": self.candidate,
            "companions": self.group_keywords,
            "shares": self.shares,
            "source": self.source,
            "width": self.width,
            "height": self.height,
        }

    def identity(self) -> str:
        return content_hash("image_spec", self.canonical())[:ID_LENGTH]


class ImageSource(Record):
    """A file that went into an image, with what its licence asks us to say."""

    title: str
    file: str
    sha256: str
    licence: str
    author: str
    url: str


class Generation(Record):
    """How a diffusion model drew an image."""

    model: str
    """Name on a Hub, or folder name."""
    revision: str
    """Commit on the Hub; for a folder the hash of its settings and of samples of its weights."""
    pipeline: str
    """Class of the pipeline, with what was laid over it: adapters, quantisation."""
    prompt: str
    """What the text encoders were given, keywords first."""
    cut: str = ""
    """The end of the prompt that did not fit into the widest text encoder's window."""
    scheduler: str
    steps: int
    guidance: float | None
    """None where the pipeline knows none."""
    negative_prompt: str | None = None
    seed: int
    """Of the initial noise."""
    rejected: tuple[str, ...] = ()
    """Why the pictures of the seeds before this one were not taken, in order."""
    dtype: str
    device: str
    """Name of the device's model, for example `NVIDIA H200` or `cpu`."""
    versions: dict[str, str] = {}
    """Package, or `driver`, -> version."""


class NoImage(Record):
    """Why a picture has no image: whatever the backend made or found could not be used."""

    backend: str
    spec: ImageSpec
    reason: str
    tries: int = 1
    """How often the backend was to try when it gave up; where it is to try more often, it is asked again."""


class Image(Record):
    """One stored image; `id` is the SHA-256 of its bytes and names its blob."""

    id: str
    extension: str = "png"
    width: int
    height: int
    perceptual_hash: str
    """64-bit pHash in hex."""
    view_hashes: str = Field(default="", pattern=r"^([0-9a-f]{768})?$")
    """Twelve hashes of 256 bits in hex, one a view of the picture (`image_hashes`); empty in old records."""
    length: int = Field(default=0, ge=0)
    """Bytes of the blob; 0 in old records."""
    thumbnail: str = Field(default="", pattern=r"^([0-9a-f]{64})?$")
    """SHA-256 of the blob with a small JPEG copy (`thumbnails.encode_thumbnail`); empty in old records."""
    backend: str
    """Name and version of what made it."""
    spec: ImageSpec
    sources: tuple[ImageSource, ...] = ()
    generation: Generation | None = None
    """How it was drawn, where a diffusion model of ours drew it."""

    @property
    def blob(self) -> str:
        """`<sha256>.<extension>`, as messages to models name it."""
        return f"{self.id}.{self.extension}"


class Picture(Record):
    """One picture of a candidate: what it should show, and the image once there is one."""

    description: str = Field(min_length=1)
    keywords: tuple[str, ...] = Field(min_length=1)
    source: str = ""
    """Picture of the image backend's stock that was allotted to it; empty where the backend draws."""
    image: Image | None = None
    problem: str = ""
    """Why there is no image, where none could be made or found."""
