"""Every picture of a collection is looked at once: what may be used, and how many may not for which reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mirsb_build.config.taxonomy import Policy
from mirsb_build.errors import BadFile, MirsbError
from mirsb_build.images.backends.retrieval.collections.base import Corpus
from mirsb_build.images.backends.retrieval.collections.table import Row
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.normalise import Unusable, decode
from mirsb_build.records import Record, checksum
from mirsb_build.runtime.progress import log

SAYS = ("caption", "licence", "author", "url")
"""What a row must say: without the last three a picture may not be passed on."""
THREADS = min(8, 2 * (os.cpu_count() or 1))


class Usable(Record):
    """A picture that may be used."""

    row: Row
    place: int
    """Of the row in the table, from 0."""
    sha256: str
    """Of the file."""


class Checked(Record):
    """The pictures of a collection that may be used, in the table's order."""

    pictures: tuple[Usable, ...]


@dataclass(frozen=True)
class Refused:
    """A picture that may not be used."""

    id: str
    reason: str


def check(corpus: Corpus, options: Options, policy: Policy) -> Checked:
    """Look at every picture, and log what was found; raises BadFile when nothing is left.

    Only what the table lets through is read and decoded, in a few threads.
    """
    rows = corpus.rows()
    refused = {place: Refused(row.id, flaw) for place, row in enumerate(rows) if (flaw := _flaw(row, policy))}

    def look(place: int) -> Usable | Refused:
        try:
            data = corpus.read(place)
            decode(data, options.most_pixels)
        except Unusable as error:
            return Refused(rows[place].id, error.reason)
        except (MirsbError, OSError):
            return Refused(rows[place].id, "unreadable")
        return Usable(row=rows[place], place=place, sha256=checksum(data))

    with ThreadPoolExecutor(THREADS) as threads:
        looked = list(threads.map(look, (place for place in range(len(rows)) if place not in refused)))
    refusals = [*refused.values(), *(one for one in looked if isinstance(one, Refused))]
    pictures = tuple(one for one in looked if isinstance(one, Usable))
    told = _told(refusals)
    if not pictures:
        what = f"none of its {len(rows)} pictures can be used: {told}" if rows else "has no rows"
        raise BadFile(corpus.name, f"{what}; {_way_out(refusals)}")
    log.info(
        "corpus %s: %s", corpus.name, f"{len(pictures)} pictures" + (f", {len(refusals)} refused: {told}" * bool(told))
    )
    return Checked(pictures=pictures)


def _flaw(row: Row, policy: Policy) -> str:
    """Why a row is refused before its file is looked at."""
    if row.flaw:
        return row.flaw
    missing = next((f"without {name}" for name in SAYS if not getattr(row, name)), "")
    return missing or ("excluded by the policy" if policy.screen(row.caption, "image") else "")


def _told(refusals: Sequence[Refused]) -> str:
    """How many for which reason, the most frequent first, each with the first of them."""
    by_reason: dict[str, list[str]] = {}
    for one in refusals:
        by_reason.setdefault(one.reason, []).append(one.id)
    often = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{len(ids)} {reason} (first: {ids[0]})" for reason, ids in often)


def _way_out(refusals: Sequence[Refused]) -> str:
    if any(one.reason in {f"without {name}" for name in SAYS} for one in refusals):
        return "give every picture a caption, licence, author and url"
    return "docs/images.md says what a picture must be"
