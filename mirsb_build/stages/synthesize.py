"""Stage 3: an image for every picture, by the image backend of the profile."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from anyio import to_thread

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.images import Images, Made
from mirsb_build.records import Candidate, Exclusion, Image, ImageSpec, NoImage, content_hash
from mirsb_build.stages import Stage, in_shards_of
from mirsb_build.stages.estimate import Estimate, RoleCalls

PICTURE_TOKENS = 60
"""Tokens that a picture's words are expected to take."""
REPLY_TOKENS = 1056
"""Tokens of an image that has no price of its own (what gpt-image-1 counts for 1024x1024 in medium quality)."""


class Synthesize(Stage[Candidate, Candidate]):
    """Make the images of each candidate that has pictures (all of a shard's in one go).

    Takes decomposed candidates, returns them with an image in every picture, or with the picture's `problem` set where
    none could be made or found; model calls that this took are added to the candidate's. A candidate whose image was
    made from a source that hits the policy comes back with `excluded` set and without its pictures. Dead and excluded
    candidates pass through. Raises ModelError or BudgetReached when no more can be made; what was made is kept.

    `drafts` are all candidates of this pass in the build's order and `beside` those that passed before: a backend with
    a stock chooses for all of them at once, so that the choice does not depend on which shard is done first.
    """

    name = "synthesize"
    returns = Candidate
    version = "3"

    def __init__(
        self,
        images: Images,
        taxonomy: Taxonomy,
        size: tuple[int, int],
        drafts: Sequence[Candidate] = (),
        beside: Sequence[Candidate] = (),
    ) -> None:
        self._images = images
        self._taxonomy = taxonomy
        self._size = size
        self._drafts = drafts
        self._used = {p.image.spec.source for c in beside for p in c.pictures if p.image} - {""}
        self._allotted: dict[str, ImageSpec] | None = None
        self._allotting = threading.Lock()

    def cut(self, records: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
        return in_shards_of(size, records)

    def key(self, records: Sequence[Candidate]) -> str:
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
        """Whether every image is still in the store."""
        return all(self._images.is_whole(p.image) for c in results for p in c.pictures if p.image)

    async def run(self, records: Sequence[Candidate]) -> list[Candidate]:
        specs = await to_thread.run_sync(lambda: [self.specs(candidate) for candidate in records])
        made = iter(await self._images.render([spec for group in specs for spec in group]))
        return [self._illustrated(c, [next(made) for _ in group]) for c, group in zip(records, specs, strict=True)]

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
        wanted = self._wanted(candidate)
        if not self._images.allots:
            return wanted
        with self._allotting:  # shards are run in threads, and the choice is made once for all of them
            if self._allotted is None:
                asked = [spec for one in self._drafts for spec in self._wanted(one)]
                self._allotted = dict(zip((s.id for s in asked), self._images.allot(asked, self._used), strict=True))
        return [self._allotted[spec.id] for spec in wanted]

    def _wanted(self, candidate: Candidate) -> list[ImageSpec]:
        """The specs of a candidate as its relation type wants them."""
        if not candidate.alive:
            return []
        relation_type = self._taxonomy.relation_type(candidate.relation_type)
        return [
            ImageSpec(
                description=picture.description,
                keywords=picture.keywords,
                layout=relation_type.layout,
                index=index,
                count=len(candidate.pictures),
                anchor=candidate.id,
                companions=tuple(p.keywords for p in candidate.pictures),
                shares=relation_type.shares,
                width=self._size[0],
                height=self._size[1],
            )
            for index, picture in enumerate(candidate.pictures, 1)
        ]

    def _illustrated(self, candidate: Candidate, made: Sequence[Made]) -> Candidate:
        calls = (*candidate.calls, *(call for one in made for call in one.calls))
        images = [one.result for one in made if isinstance(one.result, Image)]
        if hit := next((h for image in images if (h := self._screen(image))), None):
            return candidate.model_copy(update={"excluded": hit, "prompt": "", "pictures": (), "calls": calls})
        pictures = [
            picture.model_copy(
                update={"problem": one.result.reason} if isinstance(one.result, NoImage) else {"image": one.result}
            )
            for picture, one in zip(candidate.pictures, made, strict=len(made) > 0)
        ]
        return candidate.model_copy(update={"pictures": tuple(pictures), "calls": calls})

    def _screen(self, image: Image) -> Exclusion | None:
        words = " ".join([image.spec.description, *image.spec.keywords, *(s.title for s in image.sources)])
        return self._taxonomy.policy.screen(words, "image")
