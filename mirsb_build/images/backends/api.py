"""The API backend: pictures by an image model behind any OpenAI-compatible endpoint, the profile's illustrator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import numpy as np
from anyio import to_thread
from PIL import Image as PillowImage
from pydantic import Field

from mirsb_build.config.prompts import ILLUSTRATOR
from mirsb_build.errors import BudgetReached, Damaged, MirsbError, ModelError, UsageError
from mirsb_build.images.blank import why_blank
from mirsb_build.images.context import BackendContext
from mirsb_build.images.normalise import Unusable, decode_to_srgb
from mirsb_build.images.prompting import STYLES, write_prompt
from mirsb_build.ports import ImageBackend, RenderedImage, Said
from mirsb_build.records import ImageSpec, Message, ModelCall, Record, ReplyKind, content_hash

VERSION = "1"
"""Of what turns a spec into a question, and the answer into pixels; images are cached under it."""
MOST_PIXELS = 2**26
"""Of a picture that is decoded (8192 x 8192): no more than a quarter of a gigabyte of memory."""

DECLINED: dict[ReplyKind, str] = {
    "rejected": "the endpoint does not take the request",
    "filtered": "a content filter stopped it",
    "refused": "it declined",
    "empty": "its answer holds no image",
}
"""Why there is no picture, by the kind of the reply."""


class Api(ImageBackend):
    """Image backend `api`: every picture is one call, which is cached, counted and cited as any other.

    All pictures of a shard are asked for at once; the endpoint's flow control decides how many are under way. A picture
    keeps the size that the endpoint gave it. One that shows nothing is asked for again.
    """

    draws = "calls"
    role = ILLUSTRATOR

    class Options(Record):
        """How pictures are worded, and how often one is asked for."""

        tries: int = Field(default=3, ge=1, le=20)
        """How often a picture is asked for until it shows something."""
        styles: tuple[str, ...] = STYLES
        """Ways to draw; every picture, or every candidate that shares its style, gets one of them."""

    def __init__(self, options: Options, context: BackendContext) -> None:
        try:
            asked = context.models.identity(ILLUSTRATOR)
        except UsageError as error:
            raise UsageError(
                f"images.backend: api needs models.{ILLUSTRATOR} in the profile; add it, or choose another backend"
            ) from error
        named = "/".join(part for part in asked if isinstance(part, str))
        self.identity = f"api-{VERSION}/{named}/{content_hash(asked, options.styles)[:12]}"
        self.tries = options.tries
        self._options = options
        self._context = context

    async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
        """Ask for all pictures at once and yield them as they come.

        ModelError or BudgetReached are raised once the others under way are over.
        """
        drawing = [asyncio.ensure_future(self._draw(spec)) for spec in specs]
        stopped: MirsbError | None = None
        try:
            for finished in asyncio.as_completed(drawing):
                try:
                    yield await finished
                except (ModelError, BudgetReached) as error:
                    stopped = stopped or error
        finally:
            for task in drawing:
                task.cancel()
            await asyncio.gather(*drawing, return_exceptions=True)
        if stopped is not None:
            raise stopped

    async def _draw(self, spec: ImageSpec) -> RenderedImage:
        """Ask for one picture until it shows something."""
        began = time.monotonic()
        message = Message(role="user", content=write_prompt(spec, self._options.styles))
        calls: list[ModelCall] = []
        faults: list[str] = []
        for attempt in range(self.tries):
            said = await self._context.models.say(ILLUSTRATOR, [message], _sample(spec) + attempt)
            calls.append(said.call)
            if said.kind != "usable":
                return self._give_up(spec, _reason_declined(said), calls, began)
            pixels, fault = await to_thread.run_sync(self._decode, said.text)
            if pixels is not None:
                took = time.monotonic() - began
                return RenderedImage(spec, pixels, synthetic=True, calls=tuple(calls), seconds=took)
            faults.append(fault)
        return self._give_up(spec, f"none of {len(faults)} pictures can be used: {', '.join(faults)}", calls, began)

    def _give_up(self, spec: ImageSpec, problem: str, calls: Sequence[ModelCall], began: float) -> RenderedImage:
        return RenderedImage(spec, None, problem, calls=tuple(calls), seconds=time.monotonic() - began)

    def _decode(self, blob: str) -> tuple[PillowImage.Image | None, str]:
        """Decode a blob; return its pixels, or None and what is wrong with it."""
        sha256, _, extension = blob.partition(".")
        try:
            pixels = decode_to_srgb(self._context.store.get_blob(sha256, extension), MOST_PIXELS, least=1)
        except Damaged:
            return None, "lost from the store"  # asked for again, because the cached call has no other copy
        except Unusable as error:
            return None, f"broken ({error})"
        fault = why_blank(np.asarray(pixels))
        return (None, fault) if fault else (pixels, "")


def _reason_declined(said: Said) -> str:
    why = DECLINED.get(said.kind, said.kind)
    words = f": {' '.join(said.text.split())}" if said.kind == "rejected" and said.text else ""
    return f"the image model would not draw it: {why}{words}"


def _sample(spec: ImageSpec) -> int:
    """First sample of a picture: its own, so that two pictures in the same words are not the very same picture.

    It follows from the place and not from the spec, so a picture that a later round leaves alone is not paid again.
    """
    return int(content_hash(spec.candidate, spec.index)[:12], 16)
