"""Stage 3: an image for every picture, by the image backend of the profile."""

from __future__ import annotations

from collections.abc import Sequence

from mirsb_build.images import Images
from mirsb_build.records import Candidate, Exclusion, Image, ImageSpec, content_hash
from mirsb_build.stages import Stage
from mirsb_build.taxonomy import Taxonomy


class Synthesize(Stage[Candidate, Candidate]):
    """Make the images of each candidate that has pictures (all of a shard's in one go).

    Takes decomposed candidates, returns them with an image in every picture. A candidate whose image was made from a
    source that hits the policy comes back with `excluded` set and without its pictures. Dead and excluded candidates
    pass through.
    """

    name = "synthesize"
    returns = Candidate
    version = "1"

    def __init__(self, images: Images, taxonomy: Taxonomy, width: int, height: int) -> None:
        self._images = images
        self._taxonomy = taxonomy
        self._size = width, height

    def key(self, records: Sequence[Candidate]) -> str:
        return content_hash(
            self.name,
            self.version,
            self._images.identity,
            self._size,
            self._taxonomy.policy.hash,
            [self._taxonomy.relation_type(n).layout for n in sorted({r.relation_type for r in records})],
            [r.revision for r in records],
        )

    def intact(self, results: Sequence[Candidate]) -> bool:
        """Whether every image is still in the store."""
        return all(self._images.is_whole(p.image) for c in results for p in c.pictures if p.image)

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        specs = [self.specs(candidate) if candidate.alive else [] for candidate in records]
        images = iter(await self._images.render([spec for group in specs for spec in group]))
        return [self._illustrated(c, [next(images) for _ in group]) for c, group in zip(records, specs, strict=True)]

    def specs(self, candidate: Candidate) -> list[ImageSpec]:
        """What the backend is asked for, one spec a picture."""
        layout = self._taxonomy.relation_type(candidate.relation_type).layout
        return [
            ImageSpec(
                description=picture.description,
                keywords=picture.keywords,
                layout=layout,
                index=index,
                count=len(candidate.pictures),
                anchor=candidate.id,
                companions=tuple(p.keywords for p in candidate.pictures),
                width=self._size[0],
                height=self._size[1],
            )
            for index, picture in enumerate(candidate.pictures, 1)
        ]

    def _illustrated(self, candidate: Candidate, images: Sequence[Image]) -> Candidate:
        hit = next((h for image in images if (h := self._screen(image))), None)
        if hit:
            return candidate.model_copy(update={"excluded": hit, "prompt": "", "pictures": ()})
        pictures = tuple(
            picture.model_copy(update={"image": image})
            for picture, image in zip(candidate.pictures, images, strict=len(images) > 0)
        )
        return candidate.model_copy(update={"pictures": pictures})

    def _screen(self, image: Image) -> Exclusion | None:
        words = " ".join([image.spec.description, *image.spec.keywords, *(s.title for s in image.sources)])
        return self._taxonomy.policy.screen(words, "image")
