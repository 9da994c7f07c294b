"""Image duplicates: images that repeat within a candidate, and candidates that show only what another one shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from pydantic import Field

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import ComparingCheck, Entry, Finding, Peer
from mirsb_build.records import Candidate, Image, Record
from mirsb_build.similarity.hamming import distances, near_pairs
from mirsb_build.similarity.image_hashes import VIEW_BYTES, VIEWS, read_views

BITS = VIEW_BYTES * 8
BANDS = (12, 16)
"""Bands of a view's bits that are looked up, and bits of each: all the waves, which are steadier, and half the edges.

Of all changed copies 99.1 % are found so, 98.0 % with 8 bands, 99.2 % with 16, which take half as long again.
Comparing everything with everything takes 4 s for one view of 100,000 pictures, 48 s for all twelve.
"""


@dataclass(frozen=True)
class Twin:
    """The candidate that is kept instead, and how far apart the least alike of the images are."""

    original: Peer
    distance: int


class ImageDuplicates(ComparingCheck):
    """Passes a candidate whose images differ from one another and are not, all of them, those of a better one.

    Two images are the same when their bytes are, or when a view of the one and the other differ in at most `distance`
    of 256 bits (`similarity.image_hashes`); where the relation type's rules say `alike` (pieces of one whole, stages of
    one scene), only within `copy_distance`. Sharing some images with another candidate is allowed, showing nothing new
    is not. Of those that show the same the best is kept: one that was released, then one that passed in an earlier
    round, then the first in the build's order; a candidate that another check is known to have failed keeps nobody out.
    The others are compared with those kept.

    The score is the distance (0-256) of the two most alike images, or to the candidate that is kept instead.
    """

    name = "image_duplicates"
    version = "2"

    class Options(Record):
        """How alike two images may be, in bits of 256."""

        distance: int = Field(default=40, ge=0, le=96)
        copy_distance: int = Field(default=8, ge=0, le=96)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._limits = options
        self._taxonomy = taxonomy

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [self._taxonomy.relation_type(candidate.relation_type)]

    def compare(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Finding]:
        twins = self._twins((*earlier, *(Peer(candidate) for candidate in candidates)))
        return [self._finding(one, twins.get(place)) for place, one in enumerate(candidates, len(earlier))]

    def _finding(self, candidate: Candidate, twin: Twin | None) -> Finding:
        images = _numbered(candidate)
        if not images:
            return Finding("abstain", "there is no image to compare", threshold=self._limits.distance)
        threshold = self._limit(candidate)
        nearest, first, second = _nearest(images)
        if nearest <= threshold:
            return Finding(
                "fail",
                f"pictures {first} and {second} are {nearest} of {BITS} bits apart",
                nearest,
                threshold,
                f"Give pictures {first} and {second} clearly different contents.",
            )
        if twin is not None:
            apart = f"at most {twin.distance} of {BITS} bits apart"
            return Finding(
                "fail",
                f"every image repeats one of {twin.original}, which is kept ({apart})",
                twin.distance,
                self._limits.distance,
                "Show other people, things and places than the candidates before.",
            )
        reason = f"the two most alike images are {nearest} of {BITS} bits apart, and it shows what no other shows"
        return Finding("pass", reason if len(images) > 1 else "no other shows its image", nearest, threshold)

    def _limit(self, candidate: Candidate) -> int:
        """Bits up to which two images of the candidate count as one."""
        alike = self._taxonomy.relation_type(candidate.relation_type).rules.alike
        return self._limits.copy_distance if alike else self._limits.distance

    def _twins(self, entries: Sequence[Peer]) -> dict[int, Twin]:
        """By place, for each candidate of the build that repeats one that is kept: that one."""
        looks = _Looks([i for entry in entries for i in entry.images], self._limits.distance)
        showing: defaultdict[int, list[int]] = defaultdict(list)  # look -> places of the kept ones that show it
        twins: dict[int, Twin] = {}
        for place, entry in enumerate(entries):
            shown = looks.of(entry.images)
            if not shown:
                continue
            twin = None if entry.release else _first_with_all(shown, looks, showing, entries, entry.candidate.id)
            if twin is not None:
                apart = max(looks.distance(look, looks.of(entries[twin].images)) for look in shown)
                twins[place] = Twin(entries[twin], apart)
            elif entry.release or (not entry.candidate.failures and not self._repeats_itself(entry.candidate)):
                for look in shown:
                    showing[look].append(place)
        return twins

    def _repeats_itself(self, candidate: Candidate) -> bool:
        return _nearest(_numbered(candidate))[0] <= self._limit(candidate)


class _Looks:
    """What images look like: those with the same hashes have one look, and a look has others near it."""

    def __init__(self, images: Sequence[Image], distance: int) -> None:
        places = {key: place for place, key in enumerate(dict.fromkeys(_key(image) for image in images))}
        self._places: Mapping[str, int] = places
        hashed = [place for key, place in places.items() if len(key) > 64]
        codes = np.stack([read_views(key) for key in places if len(key) > 64]) if hashed else _NO_CODES
        pairs = near_pairs(codes, distance, *BANDS)
        self._near = {hashed[a]: [(hashed[b], d) for b, d in near] for a, near in pairs.neighbours().items()}

    def of(self, images: Sequence[Image]) -> set[int]:
        return {self._places[_key(image)] for image in images}

    def near(self, look: int) -> list[int]:
        """The look itself and those that count as the same."""
        return [look, *(other for other, _ in self._near.get(look, ()))]

    def distance(self, look: int, others: set[int]) -> int:
        """Bits to the nearest of others, one of which is near."""
        return 0 if look in others else min(apart for other, apart in self._near[look] if other in others)


_NO_CODES = np.empty((0, len(VIEWS), VIEW_BYTES), dtype=np.uint8)


def _key(image: Image) -> str:
    """The hashes; an image of an old record, which has none, is known by its bytes alone."""
    return image.view_hashes or image.id


def _first_with_all(
    shown: set[int], looks: _Looks, showing: Mapping[int, list[int]], entries: Sequence[Peer], own: str
) -> int | None:
    """Place of the first kept candidate that shows all these looks; its own place in this build does not count."""
    shared: set[int] | None = None
    for look in shown:
        places = {place for near in looks.near(look) for place in showing.get(near, ())}
        shared = places if shared is None else shared & places
        if not shared:
            return None
    others = [p for p in shared or () if entries[p].release or entries[p].candidate.id != own]
    return min(others, default=None)


def _numbered(candidate: Candidate) -> list[tuple[int, Image]]:
    """The images with their pictures' numbers, from 1."""
    return [(number, picture.image) for number, picture in enumerate(candidate.pictures, 1) if picture.image]


def _nearest(images: Sequence[tuple[int, Image]]) -> tuple[int, int, int]:
    """Distance and numbers of the two most alike images; 256 bits where there are no two that can be compared."""
    return min(((_distance(a, b), i, j) for (i, a), (j, b) in combinations(images, 2)), default=(BITS, 0, 0))


def _distance(a: Image, b: Image) -> int:
    if a.id == b.id:
        return 0
    if not (a.view_hashes and b.view_hashes):
        return BITS
    return int(distances(read_views(a.view_hashes)[None], read_views(b.view_hashes)[None])[0])
