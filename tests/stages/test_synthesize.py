"""Synthesize: an image in every picture, made once, with its sources; dead and excluded candidates pass through."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence

import pytest
from PIL import Image as PillowImage

from mirsb_build.errors import ModelError
from mirsb_build.images import Images
from mirsb_build.images.openmoji import OpenMoji
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import Candidate, Exclusion, ImageSource, ImageSpec
from mirsb_build.stages.synthesize import Synthesize
from mirsb_build.store import Store
from mirsb_build.taxonomy import Policy, PolicyRule, Taxonomy
from tests.factories import NoiseBackend, candidate, noise, picture, seed_query

DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def stage(store: Store, backend: ImageBackend, taxonomy: Taxonomy, side: int = 128) -> Synthesize:
    return Synthesize(Images(backend, store), taxonomy, side, side)


def illustrate(synthesize: Synthesize, *candidates: Candidate) -> list[Candidate]:
    return asyncio.run(synthesize.run(candidates))


DEAD = candidate(problem="the reply stayed unusable", prompt="", pictures=())
EXCLUDED = candidate(excluded=Exclusion(rule="r", where="prompt", explanation="so"), prompt="", pictures=())


class Titled(NoiseBackend):
    """Draws noise and says that it found it under a title."""

    def __init__(self, title: str) -> None:
        self.identity = f"titled-{title}"
        self._source = ImageSource(title=title, file="f.svg", sha256="0" * 64, licence="CC0", author="a", url="u")

    def render(self, specs: Sequence[ImageSpec]) -> list[RenderedImage]:
        return [RenderedImage(image.pixels, (self._source,)) for image in super().render(specs)]


@pytest.mark.parametrize("relation", ["Causality", "Relevance", "Complementarity", "Temporal_Jump"])
def test_every_picture_gets_an_image_that_the_store_has(
    memory_store: Store, openmoji: OpenMoji, taxonomy: Taxonomy, relation: str
) -> None:
    one = candidate(relation_type=relation)
    [done] = illustrate(stage(memory_store, openmoji, taxonomy), one)
    assert done.id == one.id and done.prompt == one.prompt
    assert [p.description for p in done.pictures] == [p.description for p in one.pictures]
    for number, shown in enumerate(done.pictures, 1):
        assert shown.image is not None
        pixels = PillowImage.open(io.BytesIO(memory_store.get_blob(shown.image.id, "png")))
        assert pixels.format == "PNG"
        assert pixels.size == (shown.image.width, shown.image.height) == (128, 128)
        assert shown.image.backend == openmoji.identity
        assert shown.image.sources and all(s.licence == "CC BY-SA 4.0" and s.file for s in shown.image.sources)
        said = shown.image.spec
        assert (said.index, said.count, said.layout) == (number, 2, taxonomy.relation_type(relation).layout)
        assert said.anchor == one.id


def test_an_image_is_made_once_for_all_builds_of_a_store(memory_store: Store, taxonomy: Taxonomy) -> None:
    first, again = Images(NoiseBackend(), memory_store), Images(NoiseBackend(), memory_store)
    done = illustrate(Synthesize(first, taxonomy, 128, 128), candidate())
    assert illustrate(Synthesize(again, taxonomy, 128, 128), candidate()) == done
    assert (first.images_made, again.images_made) == (2, 0)


def test_dead_and_excluded_candidates_pass_through_between_the_others(memory_store: Store, taxonomy: Taxonomy) -> None:
    one, other = candidate(), candidate(seed_query=seed_query("How can I hum?"))
    shard = [DEAD, one, EXCLUDED, other]
    done = illustrate(stage(memory_store, NoiseBackend(), taxonomy), *shard)
    assert [done[0], done[2]] == [DEAD, EXCLUDED]
    assert [c.id for c in done] == [c.id for c in shard]
    assert all(p.image for c in (done[1], done[3]) for p in c.pictures)
    assert [p.image.spec.anchor for p in done[3].pictures if p.image] == [other.id] * 2


def test_a_shard_of_nothing_to_draw_draws_nothing(memory_store: Store, taxonomy: Taxonomy) -> None:
    images = Images(NoiseBackend(), memory_store)
    assert illustrate(Synthesize(images, taxonomy, 128, 128), DEAD, EXCLUDED) == [DEAD, EXCLUDED]
    assert images.images_made == 0


def test_a_source_that_hits_the_policy_excludes_its_candidate_alone(memory_store: Store, taxonomy: Taxonomy) -> None:
    strict = taxonomy.model_copy(update={"policy": Policy(rules=(DUCKS,))})
    [excluded] = illustrate(stage(memory_store, Titled("duck"), strict), candidate())
    assert excluded.excluded is not None
    assert (excluded.excluded.rule, excluded.excluded.where) == ("no-ducks", "image")
    assert (excluded.prompt, excluded.pictures) == ("", ())
    [fine] = illustrate(stage(memory_store, Titled("goose"), strict), candidate())
    assert fine.alive and all(p.image for p in fine.pictures)


def test_a_blob_that_is_lost_or_damaged_is_drawn_again(memory_store: Store, taxonomy: Taxonomy) -> None:
    images = Images(NoiseBackend(), memory_store)
    [done] = illustrate(Synthesize(images, taxonomy, 128, 128), candidate())
    first, second = (p.image for p in done.pictures)
    assert first is not None and second is not None
    whole = images.read(first)
    memory_store.files.delete(memory_store.blob_name(first.id, "png"))
    memory_store.files.write(memory_store.blob_name(second.id, "png"), b"cut")
    assert images.read(first) == whole == memory_store.get_blob(first.id, "png")
    assert len(images.read(second)) == len(memory_store.get_blob(second.id, "png")) > 3


def test_a_blob_that_can_no_longer_be_drawn_the_same_is_an_error_that_says_so(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    class Drifting(NoiseBackend):
        def render(self, specs: Sequence[ImageSpec]) -> list[RenderedImage]:
            return [RenderedImage(noise(99, spec.width)) for spec in specs]

    [done] = illustrate(stage(memory_store, NoiseBackend(), taxonomy), candidate())
    image = done.pictures[0].image
    assert image is not None
    memory_store.files.delete(memory_store.blob_name(image.id, "png"))
    with pytest.raises(ModelError, match="no longer draws the same; delete the build's synthesize folder"):
        Images(Drifting(), memory_store).read(image)


# What its result depends on


def test_the_key_changes_with_the_backend_the_size_the_layout_the_policy_and_the_candidates(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    relation = taxonomy.relation_type("Causality").model_copy(update={"layout": "plain"})
    drawn_otherwise = taxonomy.model_copy(update={"relation_types": {**taxonomy.relation_types, "Causality": relation}})
    stricter = taxonomy.model_copy(update={"policy": Policy(rules=(*taxonomy.policy.rules, DUCKS))})

    def key(known: Taxonomy = taxonomy, backend: ImageBackend | None = None, side: int = 128, **change: object) -> str:
        return stage(memory_store, backend or NoiseBackend(), known, side).key([candidate(**change)])

    keys = [key(), key(drawn_otherwise), key(stricter), key(backend=Titled("x")), key(side=64)]
    keys += [key(prompt="Other."), key(pictures=(picture(), picture("A lamp.")))]
    assert len(set(keys)) == len(keys)
    assert key() == keys[0]
    worded = taxonomy.relation_type("Causality").model_copy(update={"necessity": "Another."})
    only_worded = taxonomy.model_copy(update={"relation_types": {**taxonomy.relation_types, "Causality": worded}})
    assert key(only_worded) == keys[0], "the words of a relation type are not drawn"
