"""Synthesize: an image in every picture, made once, with its sources; dead and excluded candidates pass through."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace

import pytest
from PIL import Image as PillowImage

from mirsb_build.config.taxonomy import Policy, PolicyRule, Taxonomy
from mirsb_build.errors import Damaged, ModelError
from mirsb_build.images import Images
from mirsb_build.images.backends.openmoji.backend import OpenMoji
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import Candidate, Exclusion, ImageSource, ImageSpec
from mirsb_build.stages.synthesize import Synthesize
from mirsb_build.store import Files, Store
from tests.factories import NoiseBackend, candidate, picture, seed_query

DUCKS = PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),))


def stage(store: Store, backend: ImageBackend, taxonomy: Taxonomy, side: int = 128) -> Synthesize:
    return Synthesize(Images(backend, store), taxonomy, (side, side))


def illustrate(synthesize: Synthesize, *candidates: Candidate) -> list[Candidate]:
    return asyncio.run(synthesize.run(candidates))


DEAD = candidate(problem="the reply stayed unusable", prompt="", pictures=())
EXCLUDED = candidate(excluded=Exclusion(rule="r", where="prompt", explanation="so"), prompt="", pictures=())


class Titled(NoiseBackend):
    """Draws noise and says that it found it under a title."""

    def __init__(self, title: str) -> None:
        self.identity = f"titled-{title}"
        self._source = ImageSource(title=title, file="f.svg", sha256="0" * 64, licence="CC0", author="a", url="u")

    def draw(self, spec: ImageSpec) -> RenderedImage:
        return replace(super().draw(spec), sources=(self._source,))


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
        assert said.candidate == one.id


def test_an_image_is_made_once_for_all_builds_of_a_store(memory_store: Store, taxonomy: Taxonomy) -> None:
    first, again = Images(NoiseBackend(), memory_store), Images(NoiseBackend(), memory_store)
    done = illustrate(Synthesize(first, taxonomy, (128, 128)), candidate())
    assert illustrate(Synthesize(again, taxonomy, (128, 128)), candidate()) == done
    assert (first.images_made, again.images_made) == (2, 0)


def test_dead_and_excluded_candidates_pass_through_between_the_others(memory_store: Store, taxonomy: Taxonomy) -> None:
    one, other = candidate(), candidate(seed_query=seed_query("How can I hum?"))
    shard = [DEAD, one, EXCLUDED, other]
    done = illustrate(stage(memory_store, NoiseBackend(), taxonomy), *shard)
    assert [done[0], done[2]] == [DEAD, EXCLUDED]
    assert [c.id for c in done] == [c.id for c in shard]
    assert all(p.image for c in (done[1], done[3]) for p in c.pictures)
    assert [p.image.spec.candidate for p in done[3].pictures if p.image] == [other.id] * 2


def test_a_shard_of_nothing_to_draw_draws_nothing(memory_store: Store, taxonomy: Taxonomy) -> None:
    images = Images(NoiseBackend(), memory_store)
    assert illustrate(Synthesize(images, taxonomy, (128, 128)), DEAD, EXCLUDED) == [DEAD, EXCLUDED]
    assert images.images_made == 0


def test_a_source_that_hits_the_policy_excludes_its_candidate_alone(memory_store: Store, taxonomy: Taxonomy) -> None:
    strict = taxonomy.model_copy(update={"policy": Policy(rules=(DUCKS,))})
    [excluded] = illustrate(stage(memory_store, Titled("duck"), strict), candidate())
    assert excluded.excluded is not None
    assert (excluded.excluded.rule, excluded.excluded.where) == ("no-ducks", "image")
    assert (excluded.prompt, excluded.pictures) == ("", ())
    [fine] = illustrate(stage(memory_store, Titled("goose"), strict), candidate())
    assert fine.alive and all(p.image for p in fine.pictures)


def test_a_blob_that_is_lost_or_damaged_is_found_out_and_drawn_again_alone(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    done = illustrate(stage(memory_store, NoiseBackend(), taxonomy), candidate())
    first, second = (p.image for p in done[0].pictures)
    assert first is not None and second is not None
    for lost, data in ((first, None), (second, b"x")):
        name = memory_store.blob_name(lost.id, "png")
        whole = memory_store.files.read(name)
        memory_store.files.write(name, data) if data else memory_store.files.delete(name)
        again = Images(NoiseBackend(), Store(memory_store.url))
        synthesize = Synthesize(again, taxonomy, (128, 128))
        assert not synthesize.intact(done)
        assert illustrate(synthesize, candidate()) == done
        assert synthesize.intact(done) and memory_store.files.read(name) == whole
        assert again.images_made == 1


def test_a_blob_that_was_altered_is_found_out_when_it_is_used_and_drawn_again_by_the_next_run(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    [done] = illustrate(stage(memory_store, NoiseBackend(), taxonomy), candidate())
    altered = done.pictures[0].image
    assert altered is not None
    whole = memory_store.get_blob(altered.id, "png")
    memory_store.files.write(memory_store.blob_name(altered.id, "png"), b"x" * len(whole))
    opened = Images(NoiseBackend(), Store(memory_store.url))
    assert Synthesize(opened, taxonomy, (128, 128)).intact([done]), "its bytes are not read"
    with pytest.raises(Damaged, match="run `mirsb build` for it again"):
        opened.read(altered)
    again = Images(NoiseBackend(), Store(memory_store.url))
    assert not Synthesize(again, taxonomy, (128, 128)).intact([done])
    assert illustrate(Synthesize(again, taxonomy, (128, 128)), candidate()) == [done]
    assert again.images_made == 1 and memory_store.get_blob(altered.id, "png") == whole


def test_whether_all_is_there_is_told_without_reading_an_image_or_asking_for_each(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    done = illustrate(stage(memory_store, NoiseBackend(), taxonomy), candidate(), candidate(relation_type="Analogy"))

    class Counting(Files):
        """Files that count what is asked of the blobs."""

        reads = 0
        listings = 0

        def read(self, relative: str) -> bytes | None:
            self.reads += relative.startswith("blobs/")
            return super().read(relative)

        def size(self, relative: str) -> int | None:
            self.reads += 1
            return super().size(relative)

        def sizes(self, relative: str) -> Iterator[tuple[str, int]]:
            self.listings += 1
            return super().sizes(relative)

    files = Counting(memory_store.url)
    again = stage(Store(memory_store.url, files), NoiseBackend(), taxonomy)
    assert again.intact(done)
    assert illustrate(again, candidate()) == done[:1], "out of the cache"
    assert (files.reads, files.listings) == (0, 1)


def test_a_picture_that_could_not_be_made_says_why_and_is_not_tried_again(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    class Failing(NoiseBackend):
        def draw(self, spec: ImageSpec) -> RenderedImage:
            return (
                super().draw(spec) if spec.index == 1 else RenderedImage(spec, None, "three seeds gave black pictures")
            )

    images = Images(Failing(), memory_store)
    [done] = illustrate(Synthesize(images, taxonomy, (128, 128)), candidate())
    assert [p.problem for p in done.pictures] == ["", "three seeds gave black pictures"]
    assert done.pictures[0].image is not None and done.pictures[1].image is None
    again = Images(NoiseBackend(), memory_store)
    assert illustrate(Synthesize(again, taxonomy, (128, 128)), candidate()) == [done]
    assert (images.images_made, again.images_made) == (1, 0)


def test_a_picture_that_was_given_up_is_tried_again_where_more_tries_are_allowed(
    memory_store: Store, taxonomy: Taxonomy
) -> None:
    class Trying(NoiseBackend):
        def __init__(self, tries: int) -> None:
            self.tries = tries

        def draw(self, spec: ImageSpec) -> RenderedImage:
            return super().draw(spec) if self.tries > 3 else RenderedImage(spec, None, "black")

    few, more = (stage(memory_store, Trying(tries), taxonomy) for tries in (2, 5))
    assert [p.problem for c in illustrate(few, candidate()) for p in c.pictures] == ["black", "black"]
    assert few.key([candidate()]) != more.key([candidate()])
    assert all(p.image for c in illustrate(more, candidate()) for p in c.pictures)


def test_what_was_made_before_a_backend_stopped_is_kept(memory_store: Store, taxonomy: Taxonomy) -> None:
    class Stopping(NoiseBackend):
        async def render(self, specs: Sequence[ImageSpec]) -> AsyncIterator[RenderedImage]:
            yield self.draw(specs[0])
            raise ModelError("the card fell off the bus")

    with pytest.raises(ModelError, match="fell off"):
        illustrate(stage(memory_store, Stopping(), taxonomy), candidate())
    images = Images(NoiseBackend(), memory_store)
    illustrate(Synthesize(images, taxonomy, (128, 128)), candidate())
    assert images.images_made == 1


# Where it may be run


def test_pictures_that_are_calls_of_a_model_stay_with_the_driver(memory_store: Store, taxonomy: Taxonomy) -> None:
    class Asking(NoiseBackend):
        draws = "calls"

    class OnGpus(NoiseBackend):
        draws = "gpu"

    runs = [stage(memory_store, backend, taxonomy).runs for backend in (NoiseBackend(), OnGpus(), Asking())]
    assert runs == ["anywhere", "anywhere", "driver"]


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
