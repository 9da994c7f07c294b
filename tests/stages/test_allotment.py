"""The allotment of a stock: chosen for all candidates of a pass at once, written into their pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.images import Images
from mirsb_build.ports import ImageBackend
from mirsb_build.records import Candidate, ImageSpec
from mirsb_build.stages.allotment import Allotment
from mirsb_build.stages.synthesize import Synthesize
from mirsb_build.store import Store
from tests.factories import NoiseBackend, candidate, seed_query

SIZE = (128, 128)


class Stock(NoiseBackend):
    """Gives every spec the first of ten pictures that is not taken; the rest get none."""

    has_stock = True

    def allot(self, specs: Sequence[ImageSpec], used: Collection[str]) -> list[str]:
        free = [name for name in "abcdefghij" if name not in used]
        return [*free, *[""] * len(specs)][: len(specs)]


def allot(
    store: Store, taxonomy: Taxonomy, drafts: Sequence[Candidate], beside: Sequence[Candidate] = ()
) -> list[Candidate]:
    return Allotment(Images(Stock(), store), taxonomy, SIZE).allot(drafts, beside)


def synthesize(store: Store, taxonomy: Taxonomy, backend: ImageBackend | None = None) -> Synthesize:
    return Synthesize(Images(backend or Stock(), store), taxonomy, SIZE)


def sources(*candidates: Candidate) -> list[str]:
    return [p.source for c in candidates for p in c.pictures]


def drafts(count: int) -> list[Candidate]:
    return [candidate(seed_query=seed_query(f"How can I hum {n}?")) for n in range(count)]


def test_every_picture_gets_one_of_the_stock_in_the_order_of_the_build(memory_store: Store, taxonomy: Taxonomy) -> None:
    allotted = allot(memory_store, taxonomy, drafts(4))
    assert sources(*allotted) == [*"abcdefgh"]
    assert [c.revision for c in allotted] == [c.revision for c in drafts(4)]
    assert sources(*allot(memory_store, taxonomy, allotted)) == [*"abcdefgh"], "the choice is made anew"


def test_what_is_drawn_depends_on_no_shard_and_no_order(memory_store: Store, taxonomy: Taxonomy) -> None:
    allotted = allot(memory_store, taxonomy, drafts(4))
    stage = synthesize(memory_store, taxonomy)
    whole = asyncio.run(stage.run(allotted))
    assert [p.image.spec.source for c in whole for p in c.pictures if p.image] == [*"abcdefgh"]
    apart = synthesize(memory_store, taxonomy)
    later, earlier = asyncio.run(apart.run(allotted[2:])), asyncio.run(apart.run(allotted[:2]))
    assert [*earlier, *later] == whole
    assert apart.key(allotted[:2]) == stage.key(allotted[:2])


def test_what_passed_before_keeps_its_pictures_to_itself(memory_store: Store, taxonomy: Taxonomy) -> None:
    first, other = drafts(2)
    stage = synthesize(memory_store, taxonomy)
    [before] = asyncio.run(stage.run(allot(memory_store, taxonomy, [first])))
    [after] = allot(memory_store, taxonomy, [other], beside=[before])
    assert sources(after) == ["c", "d"]
    assert stage.key([after]) != stage.key(allot(memory_store, taxonomy, [other]))


def test_dead_candidates_keep_their_place_and_take_nothing(memory_store: Store, taxonomy: Taxonomy) -> None:
    first, other = drafts(2)
    dead = candidate(problem="the reply stayed unusable")
    assert allot(memory_store, taxonomy, [first, dead, other])[1] == dead
    assert sources(*allot(memory_store, taxonomy, [first, dead, other])) == ["a", "b", "", "", "c", "d"]


def test_a_place_for_which_the_stock_has_nothing_stays_without(memory_store: Store, taxonomy: Taxonomy) -> None:
    assert sources(*allot(memory_store, taxonomy, drafts(6)))[-3:] == ["j", "", ""]


def test_where_the_backend_has_no_stock_the_drafts_stay_as_they_are(memory_store: Store, taxonomy: Taxonomy) -> None:
    allotment = Allotment(Images(NoiseBackend(), memory_store), taxonomy, SIZE)
    assert allotment.allot(drafts(2)) == drafts(2)
