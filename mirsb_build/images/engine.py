"""Pictures for specs: look into the cache, have the backend make what is missing, keep it while more is made."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from anyio import to_thread
from PIL import Image as PillowImage

from mirsb_build.errors import Damaged
from mirsb_build.images.encoding import encode
from mirsb_build.ports import Allots, ImageBackend, RenderedImage
from mirsb_build.records import Image, ImageSpec, ModelCall, NoImage, Record, checksum, content_hash
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes
from mirsb_build.store import Store

IN_KEEPING = 2 * (os.cpu_count() or 1)
"""Pictures that are encoded and written at once while the backend makes more; bounds the memory they take."""


class Made(Record):
    """What came of a spec: an image or the reason why there is none, and the model calls it took."""

    result: Image | NoImage
    calls: tuple[ModelCall, ...] = ()


class Images:
    """The image backend of a build behind the call cache and the blobs of its store.

    `note` hears of the model calls behind images that are taken from the cache: a budget counts those too.
    """

    def __init__(
        self, backend: ImageBackend, store: Store, note: Callable[[ModelCall], None] = lambda call: None
    ) -> None:
        self._backend = backend
        self._store = store
        self._note = note
        self.identity = backend.identity
        self.allots = isinstance(backend, Allots)
        """Whether pictures are chosen from a stock, for all candidates of a pass at once."""
        self.role: str = getattr(backend, "role", "")
        """Role of the model that draws every picture in a call of its own; empty where no model is asked to."""
        self.tries: int = getattr(backend, "tries", 1)
        """How often the backend tries a picture before it gives up."""
        self.images_made = 0
        """Images that the backend rendered since this object was made."""

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[ImageSpec]:
        """The specs as the backend's stock serves them; as they are where the backend has no stock."""
        return self._backend.allot(specs, used) if isinstance(self._backend, Allots) else list(specs)

    async def render(self, specs: Sequence[ImageSpec]) -> list[Made]:
        """What came of each spec, in order; what was made before is not made again.

        Pictures are hashed, encoded and written in threads while the backend goes on. When it stops with an error,
        what it had made is kept.
        """
        found = await to_thread.run_sync(self._all_cached, specs)
        for call in (call for made in found.values() for call in made.calls):
            self._note(call)
        missing = list({spec.id: spec for spec in specs if spec.id not in found}.values())
        if missing:
            found |= await self._make(missing)
        return [found[spec.id] for spec in specs]

    async def _make(self, specs: Sequence[ImageSpec]) -> dict[str, Made]:
        kept: list[asyncio.Future[Made]] = []
        room = asyncio.Semaphore(IN_KEEPING)

        async def keep(rendered: RenderedImage) -> Made:
            try:
                return await to_thread.run_sync(self._keep, rendered)
            finally:
                room.release()

        try:
            async for rendered in self._backend.render(specs):
                await room.acquire()
                kept.append(asyncio.ensure_future(keep(rendered)))
        finally:
            made = await asyncio.gather(*kept)
        self.images_made += sum(isinstance(one.result, Image) for one in made)
        return {one.result.spec.id: one for one in made}

    def read(self, image: Image) -> bytes:
        """The image's bytes; raises Damaged where they are lost, which the next run of the build mends."""
        try:
            return self._store.get_blob(image.id, image.extension)
        except Damaged as damage:
            raise Damaged(f"{damage}; run `mirsb build` for it again, which makes lost images anew") from damage

    async def close(self) -> None:
        """End what the backend holds: worker processes, for example."""
        await self._backend.close()

    def is_whole(self, image: Image) -> bool:
        """Whether the image's blob is there and what it was."""
        try:
            self.read(image)
        except Damaged:
            return False
        return True

    def key(self, spec: ImageSpec) -> str:
        """Where the call cache has what came of a spec."""
        return content_hash("image", self.identity, spec.model_dump(mode="json"))

    def is_cached(self, spec: ImageSpec) -> bool:
        """Whether a spec's result would be taken from the cache."""
        return self._cached(spec) is not None

    def _cached(self, spec: ImageSpec) -> Made | None:
        """What came of an earlier call, if the blob is still whole."""
        kept = self._store.get_call(self.key(spec))
        made = Made.model_validate(kept["made"]) if kept else None
        if made is None:
            return None
        result = made.result
        if isinstance(result, NoImage):
            return made if result.tries >= self.tries else None
        try:
            data = self.read(result)
        except Damaged:
            return None
        return made if result.view_hashes else _with_view_hashes(made, result, data)

    def _all_cached(self, specs: Sequence[ImageSpec]) -> dict[str, Made]:
        return {spec.id: made for spec in specs if (made := self._cached(spec))}

    def _keep(self, rendered: RenderedImage) -> Made:
        """Hash and encode while the pixels are at hand, write; runs in a thread."""
        made = Made(result=self._kept(rendered), calls=rendered.calls)
        self._store.put_call(self.key(rendered.spec), _entry(made, rendered.seconds))
        return made

    def _kept(self, rendered: RenderedImage) -> Image | NoImage:
        pixels = rendered.pixels
        if pixels is None:
            return NoImage(backend=self.identity, spec=rendered.spec, reason=rendered.problem, tries=self.tries)
        data = encode(pixels, rendered.spec, rendered.sources, synthetic=rendered.synthetic)
        self._store.put_blob(data, "png")
        return Image(
            id=checksum(data),
            width=pixels.width,
            height=pixels.height,
            perceptual_hash=perceptual_hash(pixels),
            view_hashes=view_hashes(pixels),
            backend=self.identity,
            spec=rendered.spec,
            sources=rendered.sources,
            generation=rendered.generation,
        )


def _with_view_hashes(made: Made, image: Image, data: bytes) -> Made:
    """What an entry from before there were view hashes would say today: nothing is drawn, or paid for, again."""
    with PillowImage.open(io.BytesIO(data)) as pixels:
        return made.model_copy(update={"result": image.model_copy(update={"view_hashes": view_hashes(pixels)})})


def _entry(made: Made, seconds: float) -> dict[str, Any]:
    """What the call cache keeps of a picture."""
    return {
        "kind": "image",
        "made": made.model_dump(mode="json"),
        "seconds": round(seconds, 4),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
