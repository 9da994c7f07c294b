"""Rendering pictures: look into the cache, render what is missing, hash the pixels while at hand, keep the bytes."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import imagehash
from anyio import to_thread

from mirsb_build.errors import Damaged, ModelError
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import Image, ImageSpec, checksum, content_hash
from mirsb_build.store import Store

BATCH = 8
"""Images a backend is asked for at once: what a kill can lose."""


class Images:
    """The image backend of a build behind the call cache and the blobs of its store."""

    def __init__(self, backend: ImageBackend, store: Store) -> None:
        self._backend = backend
        self._store = store
        self.identity = backend.identity
        self.images_made = 0
        """Images that the backend rendered since this object was made."""

    async def render(self, specs: Sequence[ImageSpec]) -> list[Image]:
        """One stored image a spec, in order; what was rendered before is not rendered again."""
        found = {spec.id: self._cached(spec) for spec in specs}
        missing = list({spec.id: spec for spec in specs if found[spec.id] is None}.values())
        if missing:
            found |= await to_thread.run_sync(self._make, missing)
        return [image for spec in specs if (image := found[spec.id])]

    def read(self, image: Image) -> bytes:
        """The image's bytes; a blob that is lost or damaged is rendered again.

        Raises ModelError when the new pixels are not the old ones, because then the record would no longer be true.
        """
        try:
            return self._store.get_blob(image.id, image.extension)
        except Damaged as damage:
            again = self._make([image.spec])[image.spec.id]
            if again.id != image.id:
                raise ModelError(
                    f"image {image.id[:12]}: {damage}, and {self.identity} no longer draws the same; "
                    "delete the build's synthesize folder and run it again"
                ) from damage
            return self._store.get_blob(image.id, image.extension)

    def _key(self, spec: ImageSpec) -> str:
        return content_hash("image", self.identity, spec.model_dump(mode="json"))

    def is_whole(self, image: Image) -> bool:
        """Whether the image's blob is there and what it was."""
        try:
            self._store.get_blob(image.id, image.extension)
        except Damaged:
            return False
        return True

    def is_cached(self, spec: ImageSpec) -> bool:
        """Whether an image would be taken from the cache."""
        return self._cached(spec) is not None

    def _cached(self, spec: ImageSpec) -> Image | None:
        """The image of an earlier call, if its blob is still whole."""
        kept = self._store.get_call(self._key(spec))
        image = Image.model_validate(kept["image"]) if kept else None
        return image if image and self.is_whole(image) else None

    def _make(self, specs: Sequence[ImageSpec]) -> dict[str, Image]:
        """Render, hash, encode and keep; runs in a thread, so that several shards use several cores."""
        made: dict[str, Image] = {}
        for start in range(0, len(specs), BATCH):
            batch = specs[start : start + BATCH]
            began = time.monotonic()
            encoded = [self._encode(s, r) for s, r in zip(batch, self._backend.render(batch), strict=True)]
            seconds = (time.monotonic() - began) / len(batch)
            for image, data in encoded:
                self._store.put_blob(data, image.extension)
                self._store.put_call(self._key(image.spec), _entry(image, seconds))
                made[image.spec.id] = image
            self.images_made += len(batch)
        return made

    def _encode(self, spec: ImageSpec, rendered: RenderedImage) -> tuple[Image, bytes]:
        pixels = rendered.pixels
        buffer = io.BytesIO()
        pixels.save(buffer, format="PNG", compress_level=4)  # a fifth faster than 6, 4 % larger
        data = buffer.getvalue()
        image = Image(
            id=checksum(data),
            width=pixels.width,
            height=pixels.height,
            perceptual_hash=str(imagehash.phash(pixels)),
            backend=self.identity,
            spec=spec,
            sources=rendered.sources,
        )
        return image, data


def _entry(image: Image, seconds: float) -> dict[str, Any]:
    """What the call cache keeps of an image."""
    return {
        "kind": "image",
        "image": image.model_dump(mode="json"),
        "seconds": round(seconds, 4),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
