"""Image backends: anything that turns specs into pixels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from PIL.Image import Image as Pixels

from mirsb_build.records import Generation, ImageSource, ImageSpec, ModelCall
from mirsb_build.runtime.dependencies import Requirement

Draws = Literal["calls", "processor", "gpu"]
"""What drawing takes: calls of a model, which stay in the process with the ledger and the connections; or a processor
or GPU, which another process may have."""


@dataclass(frozen=True)
class RenderedImage:
    """What a backend made of a spec: pixels and where they are from, or the reason why there are none."""

    spec: ImageSpec
    pixels: Pixels | None
    problem: str = ""
    """Why there are no pixels."""
    sources: tuple[ImageSource, ...] = ()
    """Files that went into the picture."""
    generation: Generation | None = None
    """How a model drew it."""
    synthetic: bool = False
    """Whether a trained model drew it; the stored file says so."""
    calls: tuple[ModelCall, ...] = ()
    """Model calls that it took."""
    seconds: float = 0.0
    """Time that the picture took, its share of a batch's."""


class ImageBackend(Protocol):
    """Anything that turns specs into pixels; a backend derives from this and overrides what differs for it.

    Opening one is cheap, because every process that draws opens its own: it reads no pixels and loads no model.
    """

    identity: str
    """Name and version: images are cached under it, so it changes when the pixels would."""
    layouts: frozenset[str] = frozenset()
    """Layouts that it composes; empty when it composes none itself and takes any."""
    draws: Draws = "processor"
    """What drawing takes."""
    role: str = ""
    """Role of the model that draws every picture in a call of its own; empty where no model is asked to."""
    tries: int = 1
    """How often a picture is tried before it is given up."""
    has_stock: bool = False
    """Whether pictures are chosen from a stock, by `allot`, for all candidates of a pass at once."""

    @classmethod
    def examine(cls, options: Any) -> list[Requirement]:
        """What a backend with these options needs, and whether it is there; nothing is opened or downloaded."""
        return []

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[str]:
        """The picture of the stock that is chosen for each spec, in order; empty where none fits.

        `used` are pictures that are taken already. The same specs and pictures give the same choice.
        """
        return [spec.source for spec in specs]

    def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One result a spec, each as soon as it is there, in any order.

        Raises ModelError or BudgetReached when no more can be made. All calls come from one event loop.
        """
        ...

    async def close(self) -> None:
        """End what it holds, worker processes for example; it may be used again."""
