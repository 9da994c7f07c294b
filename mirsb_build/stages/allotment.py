"""The allotment of a picture stock: which picture each place of a pass gets, chosen for all candidates at once.

A step over a whole pass, between `decompose` and `synthesize`: what a shard draws then depends on its records alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.images import Images
from mirsb_build.images.specs import image_specs
from mirsb_build.records import Candidate, ImageSpec, Picture


class Allotment:
    """Write the picture of the stock that was chosen for each place into `Picture.source`.

    Takes all drafts of a pass in the build's order, dead and excluded ones too, and returns them in that order; where
    the image backend has no stock, as they are. `beside` are the candidates that passed before, whose pictures count as
    used. The same drafts give the same choice. Raises BadFile or ModelError where a stock cannot be used.
    """

    def __init__(self, images: Images, taxonomy: Taxonomy, size: tuple[int, int]) -> None:
        self._images = images
        self._taxonomy = taxonomy
        self._size = size

    def allot(self, drafts: Sequence[Candidate], beside: Sequence[Candidate] = ()) -> list[Candidate]:
        """The drafts with the pictures chosen for them."""
        if not self._images.has_stock:
            return list(drafts)
        bare = [_with_sources(draft, [""] * len(draft.pictures)) for draft in drafts]
        specs = [self._specs(draft) for draft in bare]
        used = {p.image.spec.source for c in beside for p in c.pictures if p.image} - {""}
        sources = iter(self._images.allot([spec for group in specs for spec in group], used))
        return [
            _with_sources(draft, [next(sources) for _ in group]) if group else draft
            for draft, group in zip(bare, specs, strict=True)
        ]

    def _specs(self, draft: Candidate) -> list[ImageSpec]:
        return image_specs(draft, self._taxonomy.relation_type(draft.relation_type), self._size)


def _with_sources(draft: Candidate, sources: Sequence[str]) -> Candidate:
    """The draft with one source a picture; as it is where it has them already."""
    if [picture.source for picture in draft.pictures] == list(sources):
        return draft
    pictures: tuple[Picture, ...] = tuple(
        picture.model_copy(update={"source": source}) for picture, source in zip(draft.pictures, sources, strict=True)
    )
    return draft.model_copy(update={"pictures": pictures})
