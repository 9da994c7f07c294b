"""OCR leakage: words drawn in the pictures that give the seed query away."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import Lock

import numpy as np
from cachetools import LRUCache
from pydantic import Field

from mirsb_build.checks.decoded import decoded_pictures, name_pictures
from mirsb_build.checks.lazy_model import LazyModel, find_packages
from mirsb_build.checks.ocr import TextReader
from mirsb_build.checks.words import Sign, WordRules, stems, words
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Check, Entry, Evidence, Finding, Pixels
from mirsb_build.records import Candidate, Record
from mirsb_build.similarity.pixels import to_rgb

PACKAGES = ["rapidocr", "onnxruntime"]
MOST_PICTURES = 20_000
"""Pictures whose lines are remembered, so that one shown by several candidates or rounds is read once."""
TINY = 16
"""Pixels a side under which nothing could be read by anybody."""
SURE = 5
"""Letters from which a word is known with one wrong letter, or in the midst of others: the recogniser drops the spaces
of English lines, the more so the larger they are (`READAFLATMATE'SDIARY`)."""


class OcrLeakage(Check):
    """Passes a candidate whose pictures show few of its seed query's telling words, and no hard exclusion's.

    Reads the decoded pictures with RapidOCR's models (PP-OCRv6, in the wheel). The score is the share of telling words
    seen in all pictures together, by the rules of the check by words and with one wrong letter; a score of `threshold`
    or more fails. Abstains where the package is missing.
    """

    name = "ocr_leakage"
    costly = True

    class Options(Record):
        """What counts as read, and how much of it is too much."""

        threshold: float = Field(default=0.25, gt=0, le=1)
        confidence: float = Field(default=0.5, ge=0, le=1)
        """Least confidence of the recogniser in a line."""
        side: int = Field(default=512, ge=64)
        """Longer side in pixels that larger pictures are brought down to."""

    def __init__(
        self,
        options: Options,
        taxonomy: Taxonomy,
        reader: Callable[[], TextReader] = TextReader,
        most_pictures: int = MOST_PICTURES,
    ) -> None:
        self.options = options.model_dump()
        self._chosen = options
        self._paraphrases = taxonomy.paraphrases
        self._rules = WordRules(taxonomy.paraphrases)
        self._policy = taxonomy.policy
        self._reader = LazyModel(lambda: find_packages(PACKAGES), reader, PACKAGES[0])
        self.version = f"3, {self._reader.identity}"
        self._lock = Lock()
        self._lines_of: LRUCache[str, tuple[str, ...]] = LRUCache(most_pictures)

    def reads(self, candidate: Candidate) -> Sequence[Entry]:
        return [self._paraphrases, self._policy]

    def lacks(self) -> str | None:
        return self._reader.lacks()

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        reader = self._reader.get()
        pictures = decoded_pictures(candidate, evidence)
        if not pictures:
            return Finding("abstain", "there is no decoded picture to read")
        lines = {one.number: self._read(reader, one.pixels, one.image_id) for one in pictures}
        signs = self._rules.signs(candidate.seed_query.text)
        seen = {sign.phrase: places for sign in signs if (places := self._places(sign, lines))}
        score = round(len(seen) / len(signs), 4) if signs else 0.0
        reason = f"{len(seen)} of {len(signs)} telling words of the seed query can be read in the pictures"
        if seen:
            reason += ": " + ", ".join(f"{word} in {name_pictures(places)}" for word, places in seen.items())
        feedback = ""
        if excluded := self._find_exclusion(lines):
            rule, place = excluded
            reason = f"hard exclusion {rule!r} is hit by words in {name_pictures([place])}"
            feedback = f"Let {name_pictures([place])} show no writing; it hits the exclusion {rule!r}."
        elif score >= self._chosen.threshold:
            where = name_pictures(sorted({place for places in seen.values() for place in places}))
            feedback = f"Let {where} show no writing that says what is aimed at, on signs, labels or pages."
        return Finding(
            outcome="fail" if feedback else "pass",
            score=score,
            threshold=self._chosen.threshold,
            reason=reason,
            feedback=feedback,
        )

    def _read(self, reader: TextReader, pixels: Pixels, image: str | None) -> tuple[str, ...]:
        """The lines that the picture shows; one of a known image is not read again."""
        with self._lock:  # shards are filtered in threads
            known = self._lines_of.get(image) if image else None
        if known is not None:
            return known
        lines = self._read_anew(reader, pixels)
        if image:
            with self._lock:
                self._lines_of[image] = lines
        return lines

    def _read_anew(self, reader: TextReader, pixels: Pixels) -> tuple[str, ...]:
        if min(pixels.size) < TINY:
            return ()
        found = reader.lines(np.asarray(_readable(pixels, self._chosen.side)))
        return tuple(text for text, sure in found if sure >= self._chosen.confidence)

    def _places(self, sign: Sign, lines: Mapping[int, Sequence[str]]) -> list[int]:
        """Numbers of the pictures in which the sign can be read."""
        return [n for n, read in lines.items() if sign.among(self._rules.phrases(read)) or _nearly(sign, read)]

    def _find_exclusion(self, lines: Mapping[int, Sequence[str]]) -> tuple[str, int] | None:
        for number, read in lines.items():
            if hit := self._policy.screen(" ".join(read), "image"):
                return hit.rule, number
        return None


def _readable(pixels: Pixels, side: int) -> Pixels:
    """The picture in RGB, on white where it is transparent, no longer than `side`."""
    pixels = to_rgb(pixels)
    if max(pixels.size) > side:
        pixels = pixels.reduce(max(1, max(pixels.size) // (2 * side)))
        pixels.thumbnail((side, side))
    return pixels


def _nearly(sign: Sign, lines: Iterable[str]) -> bool:
    """Whether a form of the sign shows with one wrong letter, or run together with other words."""
    forms = {"".join(form) for form in sign.forms} | {"".join(words(sign.phrase))}
    known = [form for form in forms if len(form) >= SURE]
    for line in lines:
        joined = "".join(words(line))
        tokens = {token for word in words(line) for token in (word, *stems(word)) if len(token) >= SURE}
        for form in known:
            if form in joined or any(_one_apart(form, token) for token in tokens):
                return True
    return False


def _one_apart(a: str, b: str) -> bool:
    """Whether at most one letter has to be changed, added or left out."""
    if abs(len(a) - len(b)) > 1:
        return False
    short, long = sorted((a, b), key=len)
    start = next((n for n, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    return long[start + 1 :] == short[start + (len(a) == len(b)) :]
