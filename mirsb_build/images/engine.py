"""Images for specs: taken from the call cache, or drawn by the backend, encoded and stored while it draws more."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from anyio import Semaphore, to_thread
from PIL import Image as PillowImage

from mirsb_build.errors import Damaged, StoreError
from mirsb_build.images.encoding import encode
from mirsb_build.ports import ImageBackend, Pixels, RenderedImage
from mirsb_build.records import Image, ImageSpec, ModelCall, NoImage, Record, content_hash
from mirsb_build.similarity import thumbnails
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes
from mirsb_build.store import Store

ENCODERS = 2 * (os.cpu_count() or 1)
"""Pictures that are encoded and stored at once while the backend draws more, of all shards together; bounds memory."""


class RenderResult(Record):
    """The image of a spec, or the reason why there is none, and the model calls it took."""

    result: Image | NoImage
    calls: tuple[ModelCall, ...] = ()


class Images:
    """The image backend of a build behind the call cache and the blobs of its store.

    `on_cached_call` is given the model calls behind images that are taken from the cache: a budget counts those too.
    """

    def __init__(
        self, backend: ImageBackend, store: Store, on_cached_call: Callable[[ModelCall], None] = lambda call: None
    ) -> None:
        self._backend = backend
        self._store = store
        self._on_cached_call = on_cached_call
        self._encoders = Semaphore(ENCODERS)
        self.identity = backend.identity
        self.draws = backend.draws
        """What drawing takes: calls of a model, a processor or a GPU."""
        self.has_stock = backend.has_stock
        """Whether pictures are chosen from a stock, for all candidates of a pass at once."""
        self.role = backend.role
        """Role of the model that draws every picture in a call of its own; empty where no model is asked to."""
        self.tries = backend.tries
        """How often the backend tries a picture before it gives up."""
        self.images_made = 0
        """Images that the backend rendered since this object was made."""

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[str]:
        """The picture of the backend's stock that is chosen for each spec (`ports.ImageBackend.allot`)."""
        return self._backend.allot(specs, used)

    async def render(self, specs: Sequence[ImageSpec]) -> list[RenderResult]:
        """The result of each spec, in order; what was rendered before is taken from the cache.

        Pictures are hashed, encoded and written in threads while the backend goes on. When it stops with an error,
        what it had drawn is kept.
        """
        found = await to_thread.run_sync(self._find_cached, specs)
        for call in (call for result in found.values() for call in result.calls):
            self._on_cached_call(call)
        missing = list({spec.id: spec for spec in specs if spec.id not in found}.values())
        if missing:
            found |= await self._draw(missing)
        return [found[spec.id] for spec in specs]

    def read(self, image: Image) -> bytes:
        """The image's bytes; raises Damaged where they are lost, which the next run of the build mends."""
        try:
            return self._store.get_blob(image.id, image.extension)
        except Damaged as damage:
            with suppress(StoreError):  # a store that may not be written
                self._store.forget_blob(image.id, image.extension)  # what has its name would pass for it by its length
            raise Damaged(f"{damage}; run `mirsb build` for it again, which makes lost images anew") from damage

    async def close(self) -> None:
        """End what the backend holds: worker processes, for example."""
        await self._backend.close()

    def is_stored(self, image: Image) -> bool:
        """Whether the image's blob is there in its full length; its bytes are not read."""
        return self._store.has_blob(image.id, image.extension, image.length)

    def is_cached(self, spec: ImageSpec) -> bool:
        """Whether a spec's result would be taken from the cache; no image is read."""
        return self._cached(spec) is not None

    def key(self, spec: ImageSpec) -> str:
        """Where the call cache has the result of a spec."""
        return content_hash("image", self.identity, {"id": spec.id, **spec.canonical()})

    def _find_cached(self, specs: Sequence[ImageSpec]) -> dict[str, RenderResult]:
        found: dict[str, RenderResult] = {}
        for spec in specs:
            if cached := self._cached(spec):
                with suppress(Damaged):  # an image that is found damaged here is drawn again
                    found[spec.id] = self._complete(cached)
        return found

    def _cached(self, spec: ImageSpec) -> RenderResult | None:
        """The result of an earlier call, if its image is still there and it is not to be tried more often."""
        entry = self._store.get_call(self.key(spec))
        if entry is None:
            return None
        cached = RenderResult.model_validate(entry["made"])
        if isinstance(cached.result, NoImage):
            return cached if cached.result.tries >= self.tries else None
        return cached if self.is_stored(cached.result) else None

    def _complete(self, cached: RenderResult) -> RenderResult:
        """A result from before there were view hashes as it would be today: nothing is drawn, or paid for, again."""
        image = cached.result
        if isinstance(image, NoImage) or image.view_hashes:
            return cached
        data = self.read(image)
        with PillowImage.open(io.BytesIO(data)) as pixels:
            missing = {"view_hashes": view_hashes(pixels), "thumbnail": self._store_thumbnail(pixels)}
        completed = image.model_copy(update={**missing, "length": len(data)})
        return cached.model_copy(update={"result": completed})

    async def _draw(self, specs: Sequence[ImageSpec]) -> dict[str, RenderResult]:
        """Have the backend draw, and store what it draws meanwhile."""
        storing: list[asyncio.Future[RenderResult]] = []

        async def store(rendered: RenderedImage) -> RenderResult:
            try:
                return await to_thread.run_sync(self._store_result, rendered)
            finally:
                self._encoders.release()

        try:
            async for rendered in self._backend.render(specs):
                await self._encoders.acquire()
                storing.append(asyncio.ensure_future(store(rendered)))
        finally:
            results = await asyncio.gather(*storing)
        self.images_made += sum(isinstance(one.result, Image) for one in results)
        return {one.result.spec.id: one for one in results}

    def _store_result(self, rendered: RenderedImage) -> RenderResult:
        """Hash and encode while the pixels are at hand, and write; runs in a thread."""
        if rendered.pixels is None:
            problem = rendered.problem
            result = NoImage(backend=self.identity, spec=rendered.spec, reason=problem, tries=self.tries)
        else:
            result = self._encode_and_store(rendered, rendered.pixels)
        made = RenderResult(result=result, calls=rendered.calls)
        self._store.put_call(self.key(rendered.spec), _cache_entry(made, rendered.seconds))
        return made

    def _encode_and_store(self, rendered: RenderedImage, pixels: Pixels) -> Image:
        data = encode(pixels, rendered.spec, rendered.sources, synthetic=rendered.synthetic)
        grey = pixels.convert("L")  # what both hashes begin with
        return Image(
            id=self._store.put_blob(data, "png"),
            width=pixels.width,
            height=pixels.height,
            perceptual_hash=perceptual_hash(grey),
            view_hashes=view_hashes(grey),
            length=len(data),
            thumbnail=self._store_thumbnail(pixels),
            backend=self.identity,
            spec=rendered.spec,
            sources=rendered.sources,
            generation=rendered.generation,
        )

    def _store_thumbnail(self, pixels: Pixels) -> str:
        return self._store.put_blob(thumbnails.encode_thumbnail(pixels), thumbnails.EXTENSION)


def _cache_entry(made: RenderResult, seconds: float) -> dict[str, Any]:
    """A result as the call cache keeps it."""
    return {
        "kind": "image",
        "made": made.model_dump(mode="json"),
        "seconds": round(seconds, 4),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
