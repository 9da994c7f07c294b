"""Which pictures of a collection may be used; every one is decoded once, and those refused are counted by reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from mirsb_build.config.taxonomy import Policy
from mirsb_build.errors import BadFile, MirsbError
from mirsb_build.images.backends.retrieval.collections.base import Corpus
from mirsb_build.images.backends.retrieval.collections.table import Row
from mirsb_build.images.backends.retrieval.options import REQUIRED, Options
from mirsb_build.images.normalise import Unusable, decode
from mirsb_build.records import Record, checksum
from mirsb_build.runtime.progress import log

THREADS = min(8, 2 * (os.cpu_count() or 1))


class UsablePicture(Record):
    """A picture that may be used."""

    row: Row
    place: int
    """Of the row in the table, from 0."""
    sha256: str
    """Of the file."""


class ScreenedCollection(Record):
    """The pictures of a collection that may be used, in the table's order."""

    pictures: tuple[UsablePicture, ...]


@dataclass(frozen=True)
class RefusedPicture:
    """A picture that may not be used."""

    id: str
    reason: str


def screen_pictures(corpus: Corpus, options: Options, policy: Policy) -> ScreenedCollection:
    """Decode every picture once, and log what was found; raises BadFile when nothing is left.

    Only what the table lets through is read and decoded, in a few threads.
    """
    rows = corpus.rows()
    refused = {place: RefusedPicture(row.id, flaw) for place, row in enumerate(rows) if (flaw := _flaw(row, policy))}

    def decode_picture(place: int) -> UsablePicture | RefusedPicture:
        try:
            data = corpus.read(place)
            decode(data, options.most_pixels)
        except Unusable as error:
            return RefusedPicture(rows[place].id, error.reason)
        except (MirsbError, OSError):
            return RefusedPicture(rows[place].id, "unreadable")
        return UsablePicture(row=rows[place], place=place, sha256=checksum(data))

    with ThreadPoolExecutor(THREADS) as threads:
        screened = list(threads.map(decode_picture, (place for place in range(len(rows)) if place not in refused)))
    refusals = [*refused.values(), *(one for one in screened if isinstance(one, RefusedPicture))]
    pictures = tuple(one for one in screened if isinstance(one, UsablePicture))
    summary = _summarise(refusals)
    if not pictures:
        what = f"none of its {len(rows)} pictures can be used: {summary}" if rows else "has no rows"
        raise BadFile(corpus.name, f"{what}; {_way_out(refusals)}")
    refused_too = f", {len(refusals)} refused: {summary}" if refusals else ""
    log.info("corpus %s: %d pictures%s", corpus.name, len(pictures), refused_too)
    return ScreenedCollection(pictures=pictures)


def _flaw(row: Row, policy: Policy) -> str:
    """Why a row is refused before its file is screened at."""
    if row.flaw:
        return row.flaw
    missing = next((f"without {name}" for name in REQUIRED if not getattr(row, name)), "")
    return missing or ("excluded by the policy" if policy.screen(row.caption, "image") else "")


def _summarise(refusals: Sequence[RefusedPicture]) -> str:
    """Count the refusals by reason, the most frequent first, each with the first of them."""
    by_reason: dict[str, list[str]] = {}
    for one in refusals:
        by_reason.setdefault(one.reason, []).append(one.id)
    by_count = sorted(by_reason.items(), key=lambda item: -len(item[1]))
    return ", ".join(f"{len(ids)} {reason} (first: {ids[0]})" for reason, ids in by_count)


def _way_out(refusals: Sequence[RefusedPicture]) -> str:
    if any(one.reason in {f"without {name}" for name in REQUIRED} for one in refusals):
        return "give every picture a caption, licence, author and url"
    return "docs/images.md says what a picture must be"
