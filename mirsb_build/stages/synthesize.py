"""Stage 3: an image for every picture, by the image backend of the profile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.images import Images, RenderResult
from mirsb_build.images.specs import image_specs
from mirsb_build.records import Candidate, Exclusion, Image, ImageSpec, NoImage, content_hash
from mirsb_build.stages import Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls

PICTURE_TOKENS = 60
"""Tokens that a picture's words are expected to take."""
REPLY_TOKENS = 1056
"""Tokens of an image that has no price of its own (what gpt-image-1 counts for 1024x1024 in medium quality)."""


class Synthesize(Stage[Candidate, Candidate]):
    """Make the images of each candidate that has pictures (all of a shard's in one go).

    Takes decomposed candidates, after the allotment where the image backend has a stock; returns them with an image in
    every picture, or with the picture's `problem` set where none could be made or found; model calls that this took are
    added to the candidate's. A candidate whose image was made from a source that hits the policy comes back with
    `excluded` set and without its pictures. Dead and excluded candidates pass through. Raises ModelError or
    BudgetReached when no more can be made; what was made is kept.
    """

    name = "synthesize"
    returns = Candidate
    version = "3"

    def __init__(self, images: Images, taxonomy: Taxonomy, size: tuple[int, int]) -> None:
        self._images = images
        self._taxonomy = taxonomy
        self._size = size

    @property
    def runs(self) -> Literal["driver", "anywhere"]:
        """Where a shard may be run: pictures that are calls of a model are drawn by the process with the ledger."""
        return "driver" if self._images.draws == "calls" else "anywhere"

    def cut(self, records: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
        return in_shards_of(size, records)

    def key(self, records: Sequence[Candidate]) -> str:
        """Hash of all that the images of these candidates depend on."""
        return content_hash(
            self.name,
            self.version,
            self._images.identity,
            self._images.tries,
            self._taxonomy.policy.hash,
            [spec.id for record in records for spec in self.specs(record)],
            [r.revision for r in records],
        )

    def intact(self, results: Sequence[Candidate]) -> bool:
        """Whether every image is still in the store, in its full length."""
        return all(self._images.is_stored(p.image) for c in results for p in c.pictures if p.image)

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        """The candidates with their images."""
        specs = [self.specs(candidate) for candidate in records]
        results = iter(await self._images.render([spec for group in specs for spec in group]))
        return [self._illustrate(c, [next(results) for _ in group]) for c, group in zip(records, specs, strict=True)]

    def estimate(self, records: Sequence[Candidate]) -> Estimate:
        """Images that are not in the cache; where they are model calls, those (none asked again as blank)."""
        images = sum(not self._images.is_cached(spec) for one in records for spec in self.specs(one))
        if not self._images.role:
            return Estimate(images=images)
        tokens = images * PICTURE_TOKENS
        drawn = RoleCalls(role=self._images.role, calls=images, prompt_tokens=tokens, reply_tokens=REPLY_TOKENS)
        return Estimate(by_role=(drawn,), images=images)

    def specs(self, candidate: Candidate) -> list[ImageSpec]:
        """What the backend is asked for, one spec a picture; none for a candidate that is out."""
        return image_specs(candidate, self._taxonomy.relation_type(candidate.relation_type), self._size)

    def _illustrate(self, candidate: Candidate, results: Sequence[RenderResult]) -> Candidate:
        """The candidate with the images in its pictures, or excluded for one of them."""
        calls = (*candidate.calls, *(call for one in results for call in one.calls))
        images = [one.result for one in results if isinstance(one.result, Image)]
        if hit := next((h for image in images if (h := self._screen(image))), None):
            return candidate.model_copy(update={"excluded": hit, "prompt": "", "pictures": (), "calls": calls})
        pictures = [
            picture.model_copy(
                update={"problem": one.result.reason} if isinstance(one.result, NoImage) else {"image": one.result}
            )
            for picture, one in zip(candidate.pictures, results, strict=len(results) > 0)
        ]
        return candidate.model_copy(update={"pictures": tuple(pictures), "calls": calls})

    def _screen(self, image: Image) -> Exclusion | None:
        words = " ".join([image.spec.description, *image.spec.keywords, *(s.title for s in image.sources)])
        return self._taxonomy.policy.screen(words, "image")
