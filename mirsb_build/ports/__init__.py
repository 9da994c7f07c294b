"""The tiny interfaces between the stages and what they use.

A stage gets its models, its image backend and its checks passed in and knows only these shapes. The offline ones are
as real as the paid ones, only local.
"""

from mirsb_build.ports.checks import (
    AnyCheck,
    BatchCheck,
    Case,
    Check,
    ComparingCheck,
    DecodedImages,
    Entry,
    Evidence,
    Finding,
    ModelCheck,
    Outcome,
    Peer,
)
from mirsb_build.ports.images import (
    Draws,
    ImageBackend,
    Pixels,
    RenderedImage,
)
from mirsb_build.ports.models import (
    Answer,
    Asker,
    Said,
    Screen,
    TextModel,
)

__all__ = [
    "Answer",
    "AnyCheck",
    "Asker",
    "BatchCheck",
    "Case",
    "Check",
    "ComparingCheck",
    "DecodedImages",
    "Draws",
    "Entry",
    "Evidence",
    "Finding",
    "ImageBackend",
    "ModelCheck",
    "Outcome",
    "Peer",
    "Pixels",
    "RenderedImage",
    "Said",
    "Screen",
    "TextModel",
]
