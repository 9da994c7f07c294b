"""The image engine: what is kept of a picture, and what an older entry lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from mirsb_build.images import Images
from mirsb_build.images.engine import ENCODERS
from mirsb_build.ports import RenderedImage
from mirsb_build.records import Image, ImageSpec
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes
from mirsb_build.similarity.thumbnails import encode_thumbnail, read_thumbnail
from mirsb_build.store import Store
from tests.factories import NoiseBackend, image_spec


def test_an_entry_from_before_there_were_view_hashes_is_completed_and_nothing_is_drawn(memory_store: Store) -> None:
    spec, images = image_spec(), Images(NoiseBackend(), memory_store)
    [made] = asyncio.run(images.render([spec]))
    entry: dict[str, Any] = memory_store.get_call(images.key(spec)) or {}
    for name in ("view_hashes", "length", "thumbnail"):
        del entry["made"]["result"][name]
    memory_store.put_call(images.key(spec), entry)
    again = Images(NoiseBackend(), memory_store)
    assert asyncio.run(again.render([spec])) == [made]
    assert again.images_made == 0


def test_a_picture_is_kept_with_its_hashes(memory_store: Store) -> None:
    spec = image_spec()
    [made] = asyncio.run(Images(NoiseBackend(), memory_store).render([spec]))
    assert isinstance(made.result, Image)
    pixels = NoiseBackend().draw(spec).pixels
    assert pixels is not None
    assert made.result.perceptual_hash == perceptual_hash(pixels)
    assert made.result.view_hashes == view_hashes(pixels)
    data = memory_store.get_blob(made.result.id, "png")
    assert made.result.length == len(data)
    assert read_thumbnail(memory_store, made.result) == encode_thumbnail(pixels)
    assert memory_store.has_blob(made.result.thumbnail, "jpg")


def test_of_an_entry_from_before_lengths_were_recorded_presence_is_enough(memory_store: Store) -> None:
    spec, images = image_spec(), Images(NoiseBackend(), memory_store)
    [made] = asyncio.run(images.render([spec]))
    entry: dict[str, Any] = memory_store.get_call(images.key(spec)) or {}
    for name in ("length", "thumbnail"):
        del entry["made"]["result"][name]
    memory_store.put_call(images.key(spec), entry)
    again = Images(NoiseBackend(), Store(memory_store.url))
    [old] = asyncio.run(again.render([spec]))
    assert isinstance(old.result, Image) and isinstance(made.result, Image)
    assert (old.result.id, old.result.length, old.result.thumbnail) == (made.result.id, 0, "")
    assert again.images_made == 0
    assert read_thumbnail(memory_store, old.result) == read_thumbnail(memory_store, made.result)


def test_all_shards_together_encode_only_so_many_pictures_at_once(memory_store: Store) -> None:
    class Ahead(NoiseBackend):
        """Notes how many pictures were drawn and not stored yet."""

        def __init__(self) -> None:
            self.drawn = 0
            self.most = 0

        def draw(self, spec: ImageSpec) -> RenderedImage:
            self.drawn += 1
            stored = sum(1 for _ in memory_store.files.sizes("cache"))
            self.most = max(self.most, self.drawn - stored)
            return super().draw(spec)

    async def shards() -> None:
        specs = [image_spec(description=f"A key {n}.") for n in range(8 * ENCODERS)]
        await asyncio.gather(*(images.render(specs[n::4]) for n in range(4)))

    backend = Ahead()
    images = Images(backend, memory_store)
    asyncio.run(shards())
    assert images.images_made == 8 * ENCODERS
    assert backend.most <= ENCODERS + 4, "those that are encoded, and one a shard that waits for it"
