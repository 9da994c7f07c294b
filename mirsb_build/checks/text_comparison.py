"""The comparison of candidates by their texts: which are kept of those that are alike.

Shared by `lexical_duplicates` and `semantic_duplicates`, which differ in how alike two texts are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from mirsb_build.ports import Peer
from mirsb_build.records import Candidate

SEED_QUERY, TEXT = "seed query", "text"

Pair = tuple[int, int, float]
"""Places of two texts and how alike they are."""
Near = Callable[[str, Sequence[str]], Iterable[Pair]]
"""Pairs among texts that come near the limit, for texts of that name (SEED_QUERY or TEXT)."""


@dataclass(frozen=True)
class Nearest:
    """The most alike of the candidates that are kept."""

    original: Peer
    text: str
    """By which text it is that: SEED_QUERY or TEXT."""
    likeness: float
    fails: bool


class TextComparison:
    """Compares candidates in their order with those kept before them.

    Seed queries are compared among candidates of one relation type, because a seed meets every relation type; what the
    model under test reads, prompt and descriptions together, is compared among all. `limits` says by name from which
    likeness on texts are the same. One that was released is kept, then one that passed in an earlier round, then the
    first in the build's order; one that is dead, or that another check is known to have failed, keeps nobody out.
    """

    def __init__(self, limits: Mapping[str, float], near: Near) -> None:
        self._limits = limits
        self._near = near

    def nearest(self, candidates: Sequence[Candidate], earlier: Sequence[Peer]) -> list[Nearest | None]:
        """For each candidate the kept one that it is most like, None where none comes near."""
        entries = (*earlier, *(Peer(candidate) for candidate in candidates))
        texts = _Texts([_texts_to_compare(entry.candidate) for entry in entries], self._near)
        kept_with: defaultdict[int, list[int]] = defaultdict(list)  # text -> places of the kept ones that say it
        found: list[Nearest | None] = []
        for place, entry in enumerate(entries):
            near = [
                (likeness - self._limits[name], -other, name, likeness)
                for name, text in texts.of(place)
                for near_text, likeness in texts.near(text)
                for other in kept_with.get(near_text, ())
                if not entry.release and (entries[other].release or entries[other].candidate.id != entry.candidate.id)
            ]
            nearest, fails = None, False
            if near:
                beyond, other, name, likeness = max(near)  # of equals the first in order
                fails = beyond >= 0
                nearest = Nearest(entries[-other], name, likeness, fails)
            found.append(nearest)
            if entry.release or (entry.candidate.alive and not (entry.candidate.failures or fails)):
                for _, text in texts.of(place):
                    kept_with[text].append(place)
        return found[len(earlier) :]


class _Texts:
    """The texts of candidates by number: the same text has one number, and others near it."""

    def __init__(self, texts: Sequence[Mapping[str, str]], near: Near) -> None:
        self._numbers = {key: number for number, key in enumerate(dict.fromkeys(k for one in texts for k in one))}
        self._of = [[(name, self._numbers[key]) for key, name in one.items()] for one in texts]
        self._near: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
        groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for key, name in {key: name for one in texts for key, name in one.items()}.items():
            groups[name, key.partition("\n")[0]].append(key)
        for (name, _), keys in groups.items():
            for one, other, likeness in near(name, [key.partition("\n")[2] for key in keys]):
                self._near[self._numbers[keys[one]]].append((self._numbers[keys[other]], likeness))
                self._near[self._numbers[keys[other]]].append((self._numbers[keys[one]], likeness))

    def of(self, place: int) -> list[tuple[str, int]]:
        """Names and numbers of a candidate's texts."""
        return self._of[place]

    def near(self, text: int) -> list[tuple[int, float]]:
        """The text itself and those near it, with how alike they are."""
        return [(text, 1.0), *self._near.get(text, ())]


def _texts_to_compare(candidate: Candidate) -> dict[str, str]:
    """What is compared, text -> its name; a first line says with which others."""
    asked = {f"seed query for {candidate.relation_type}\n{candidate.seed_query.text}": SEED_QUERY}
    read = "\n".join([candidate.prompt, *(picture.description for picture in candidate.pictures)])
    return asked | ({f"text\n{read}": TEXT} if candidate.prompt else {})
