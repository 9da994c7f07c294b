"""The tiny interfaces between the stages and what they use.

A stage gets its models, its image backend and its checks passed in and knows only these shapes. The offline ones are
as real as the paid ones, only local.
"""

from mirsb_build.ports.checks import (
    BatchCheck,
    Case,
    Check,
    CostlyCheck,
    Evidence,
    ModelCheck,
    Peer,
    Peers,
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
    "Asker",
    "BatchCheck",
    "Case",
    "Check",
    "CostlyCheck",
    "Draws",
    "Evidence",
    "ImageBackend",
    "ModelCheck",
    "Peer",
    "Peers",
    "Pixels",
    "RenderedImage",
    "Said",
    "Screen",
    "TextModel",
]
