"""Image backends: anything that turns specs into pixels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from PIL.Image import Image as Pixels

from mirsb_build.records import Generation, ImageSource, ImageSpec, ModelCall


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
    """Anything that turns specs into pixels."""

    identity: str
    """Name and version: images are cached under it, so it changes when the pixels would."""
    layouts: frozenset[str]
    """Layouts that it composes; empty when it composes none itself and takes any."""

    def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """One result a spec, each as soon as it is there, in any order.

        Raises ModelError or BudgetReached when no more can be made. All calls come from one event loop.
        """
        ...

    async def close(self) -> None:
        """End what it holds, worker processes for example; it may be used again."""
        ...


@runtime_checkable
class Allots(Protocol):
    """An image backend with a stock of pictures, that chooses among them for all candidates of a pass at once."""

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[ImageSpec]:
        """The specs, in order, each with the picture chosen for it as its `source`.

        `used` are sources that are taken already. The same specs and sources give the same choice.
        """
        ...
