"""The messages between the backend and its worker processes: frames of pickled messages, each after its length."""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

from mirsb_build.images.backends.diffusion.options import Options

LENGTH = struct.Struct(">Q")


@dataclass(frozen=True)
class Hello:
    """First message to a worker: what to load, and where to."""

    options: Options
    device: str
    """Empty: the first GPU, or the CPU."""


@dataclass(frozen=True)
class Ready:
    """A worker's first answer: what it loaded."""

    pipeline: str
    revision: str
    scheduler: str
    guidance: float | None
    dtype: str
    device: str
    """Name of the device's model."""
    others: tuple[str, ...]
    """Devices of the same kind beside its own."""
    versions: dict[str, str]


@dataclass(frozen=True)
class Order:
    """One picture to draw."""

    prompt: str
    seed: int
    width: int
    height: int


@dataclass(frozen=True)
class Drawn:
    """The picture of an order; `pixels` are RGB bytes, row by row, None where they cannot be used."""

    pixels: bytes | None
    prompt: str
    cut: str
    problem: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True)
class Answer:
    """The pictures of a batch, order by order."""

    drawn: tuple[Drawn, ...]
    seconds: float
    """Of the device, for all of the batch."""
    fits: int
    """Pictures of this shape that go at once."""


@dataclass(frozen=True)
class Failed:
    """Why a worker cannot go on, in words for the user; its last message."""

    reason: str


def encode_frame(message: object) -> bytes:
    """Encode a message as it goes through the pipe: its length, then itself."""
    data = pickle.dumps(message, protocol=5)
    return LENGTH.pack(len(data)) + data


def decode_frame(body: bytes) -> Any:
    """Decode a message that was read without its length."""
    return pickle.loads(body)


def read_frame(pipe: BinaryIO) -> Any:
    """Read the next message; None when the other side is gone."""
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = pipe.read(length)
    return decode_frame(data) if len(data) == length else None
