"""Duplicate texts: the same question asked twice, or candidates that say the same beside their pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from mirsb_build.checks.nearby import near_pairs
from mirsb_build.checks.shingles import CODE_BITS, code, overlap, shingles
from mirsb_build.ports import Evidence, Peer, Peers
from mirsb_build.records import Candidate, Record, Verdict
from mirsb_build.taxonomy import Taxonomy

_BANDS = (CODE_BITS // 14, 14)
_SLACK = 16
"""Bits beyond the expected distance within which texts are compared in full: three standard deviations and more."""


@dataclass(frozen=True)
class Likeness:
    """The most alike of the candidates that are kept, and by which text."""

    kept: Peer
    text: str
    likeness: float


class DuplicateTexts:
    """Passes a candidate that no kept candidate is like by its words.

    Two texts are compared by the overlap of their runs of four letters (Jaccard index, 0-1). Seed queries are compared
    among candidates of one relation type, because a seed meets every relation type; what the model under test reads,
    prompt and descriptions together, is compared among all. A prompt alone is not: "explain how picture 1 leads to
    picture 2" may be asked of many pictures. The score is the largest overlap with a kept candidate, where one comes
    near; `likeness` and more fails. Which is kept: as in `duplicates`.
    """

    name = "duplicate_texts"
    version = "1"

    class Options(Record):
        """How alike two texts may be."""

        likeness: float = Field(default=0.75, ge=0.6, le=1)

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._likeness = options.likeness

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        found = self._found(candidate, evidence.peers)
        fails = found is not None and found.likeness >= self._likeness
        reason, feedback = "no kept candidate comes near it by its words", ""
        if found is not None:
            reason = f"its {found.text} shares {found.likeness:.0%} of its letters' runs with that of {found.kept}"
            reason += ", which is kept" if fails else ""
        if fails and found is not None:
            feedback = "Write prompt and descriptions anew, with other people, things and places."
            if found.text == "seed query":
                feedback = "Its seed query asks what another one asks; take another side of the question."
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if fails else "pass",
            score=round(found.likeness, 4) if found else None,
            threshold=self._likeness,
            reason=reason,
            feedback=feedback,
        )

    def _found(self, candidate: Candidate, peers: Peers) -> Likeness | None:
        if candidate.id in peers:
            return peers.once(self, lambda: self._all_found(peers.entries)).get(candidate.id)
        return self._all_found((*peers.entries, Peer(candidate))).get(candidate.id)

    def _all_found(self, entries: Sequence[Peer]) -> dict[str, Likeness]:
        """For each candidate of the build that comes near a kept one: the most alike of those."""
        texts = _Texts([_texts(entry.candidate) for entry in entries], self._likeness)
        saying: defaultdict[int, list[int]] = defaultdict(list)  # text -> places of the kept ones that say it
        found: dict[str, Likeness] = {}
        for place, entry in enumerate(entries):
            near = [
                (overlap, -other, name)
                for name, text in texts.of(place)
                for said, overlap in texts.near(text)
                for other in saying.get(said, ())
                if not entry.release and (entries[other].release or entries[other].candidate.id != entry.candidate.id)
            ]
            if near:
                likeness, other, name = max(near)  # of equals the first in order
                found[entry.candidate.id] = Likeness(entries[-other], name, likeness)
            if entry.release or not (entry.candidate.failures or (near and max(near)[0] >= self._likeness)):
                for _, text in texts.of(place):
                    saying[text].append(place)
        return found


class _Texts:
    """The texts of candidates by number: the same text has one number, and others near it.

    Here is where comparing by meaning belongs: pairs of near texts from sentence embeddings, added to those by words.
    """

    def __init__(self, texts: Sequence[Mapping[str, str]], likeness: float) -> None:
        self._numbers = {key: number for number, key in enumerate(dict.fromkeys(k for one in texts for k in one))}
        self._of = [[(name, self._numbers[key]) for key, name in one.items()] for one in texts]
        self._near: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        kinds: defaultdict[str, list[str]] = defaultdict(list)
        for key in self._numbers:
            kinds[key.partition("\n")[0]].append(key)
        for keys in kinds.values():
            for one, other, value in _overlaps([key.partition("\n")[2] for key in keys], likeness):
                self._near[self._numbers[keys[one]]].append((self._numbers[keys[other]], value))
                self._near[self._numbers[keys[other]]].append((self._numbers[keys[one]], value))

    def of(self, place: int) -> list[tuple[str, int]]:
        """Names and numbers of a candidate's texts."""
        return self._of[place]

    def near(self, text: int) -> list[tuple[int, float]]:
        """The text itself and those near it, with their overlap."""
        return [(text, 1.0), *self._near.get(text, ())]


def _texts(candidate: Candidate) -> dict[str, str]:
    """What is compared, text -> its name; a first line says with which others."""
    asked = {f"seed query for {candidate.relation_type}\n{candidate.seed_query.text}": "seed query"}
    told = " ".join([candidate.prompt, *(picture.description for picture in candidate.pictures)])
    return asked | ({f"text\n{told}": "text"} if candidate.prompt else {})


def _overlaps(texts: Sequence[str], likeness: float) -> Iterator[tuple[int, int, float]]:
    """Pairs of texts that come near the likeness, with their overlap."""
    if len(texts) < 2:
        return
    known = [shingles(text) for text in texts]
    codes = np.stack([code(one) for one in known])[:, None]
    pairs = near_pairs(codes, round((1 - likeness) / 2 * CODE_BITS) + _SLACK, *_BANDS)
    for one, other, _ in pairs:
        yield one, other, overlap(known[one], known[other])
