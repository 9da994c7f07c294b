"""The image engine: what is kept of a picture, and what an older entry lacks."""

from __future__ import annotations

import asyncio
from typing import Any

from mirsb_build.images import Images
from mirsb_build.records import Image
from mirsb_build.similarity.image_hashes import perceptual_hash, view_hashes
from mirsb_build.store import Store
from tests.factories import NoiseBackend, image_spec


def test_an_entry_from_before_there_were_view_hashes_is_completed_and_nothing_is_drawn(memory_store: Store) -> None:
    spec, images = image_spec(), Images(NoiseBackend(), memory_store)
    [made] = asyncio.run(images.render([spec]))
    entry: dict[str, Any] = memory_store.get_call(images.key(spec)) or {}
    del entry["made"]["result"]["view_hashes"]
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
