"""Visible-text leakage: words drawn in the pictures that give the seed query away."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from threading import Lock

import numpy as np
from pydantic import Field

from mirsb_build.checks.lettering import Reader
from mirsb_build.checks.missing import abstention
from mirsb_build.checks.shown import named, shown
from mirsb_build.checks.words import Sign, WordRules, stems, words
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import Evidence, Pixels
from mirsb_build.records import Candidate, Record, Verdict
from mirsb_build.runtime.dependencies import installed, lacking
from mirsb_build.similarity.pixels import to_rgb

PACKAGE = "rapidocr-onnxruntime"
LIBRARIES = "opencv wants the system's libGL and glib: apt-get install libgl1 libglib2.0-0"
KNOWN = 20_000
"""Pictures whose lines are remembered, so that one shown by several candidates or rounds is read once."""
TINY = 16
"""Pixels a side under which nothing could be read by anybody."""
SURE = 5
"""Letters from which a word is known with one wrong letter, or in the midst of others: the recogniser drops the spaces
of English lines, the more so the larger they are (`READAFLATMATE'SDIARY`)."""


class VisibleText:
    """Passes a candidate whose pictures show few of its seed query's telling words, and no hard exclusion's.

    Reads the decoded pictures with RapidOCR's models (PP-OCRv4, in the wheel). The score is the share of telling words
    seen in all pictures together, by the rules of the check by words and with one wrong letter; a score of `threshold`
    or more fails. Abstains where the package, or a library of the system that it wants, is missing.
    """

    name = "visible_text"
    costly = True

    class Options(Record):
        """What counts as read, and how much of it is too much."""

        threshold: float = Field(default=0.25, gt=0, le=1)
        confidence: float = Field(default=0.5, ge=0, le=1)
        """Least confidence of the recogniser in a line."""
        side: int = Field(default=512, ge=64)
        """Longer side in pixels that larger pictures are brought down to."""

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._chosen = options
        self._rules = WordRules(taxonomy.paraphrases)
        self._policy = taxonomy.policy
        self._lock = Lock()
        self._known: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    @cached_property
    def version(self) -> str:
        """Part of a finished shard's key: what was abstained on is judged once the reader loads.

        Found out when it is asked for, because loading takes 0.2 s and `--help` need not wait for it.
        """
        return "2, cannot judge" if self._cannot else f"2, {PACKAGE} {installed(PACKAGE)}"

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        if self._cannot or not evidence.pixels:
            return abstention(self.name, self.version, self._cannot or "there is no decoded picture to read")
        read = {
            one.number: self._read(one.pixels, one.picture.image.id if one.picture.image else None)
            for one in shown(candidate, evidence)
        }
        signs = self._rules.signs(candidate.seed_query.text)
        seen = {sign.said: places for sign in signs if (places := self._places(sign, read))}
        score = round(len(seen) / len(signs), 4) if signs else 0.0
        reason = f"{len(seen)} of {len(signs)} telling words of the seed query can be read in the pictures"
        if seen:
            reason += ": " + ", ".join(f"{word} in {named(places)}" for word, places in seen.items())
        feedback = ""
        if excluded := self._excluded(read):
            rule, place = excluded
            reason = f"hard exclusion {rule!r} is hit by words in {named([place])}"
            feedback = f"Let {named([place])} show no writing; it hits the exclusion {rule!r}."
        elif score >= self._chosen.threshold:
            where = named(sorted({place for places in seen.values() for place in places}))
            feedback = f"Let {where} show no writing that says what is aimed at, on signs, labels or pages."
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if feedback else "pass",
            score=score,
            threshold=self._chosen.threshold,
            reason=reason,
            feedback=feedback,
        )

    def _read(self, pixels: Pixels, image: str | None) -> tuple[str, ...]:
        """The lines that the picture shows; one of a known image is not read again."""
        with self._lock:  # shards are filtered in threads
            if image in self._known:
                self._known.move_to_end(image)
                return self._known[image]
        lines = self._lines(pixels)
        if image is not None:
            with self._lock:
                self._known[image] = lines
                while len(self._known) > KNOWN:
                    self._known.popitem(last=False)
        return lines

    def _lines(self, pixels: Pixels) -> tuple[str, ...]:
        if min(pixels.size) < TINY or not isinstance(self._reader, Reader):
            return ()
        found = self._reader.lines(np.asarray(_readable(pixels, self._chosen.side)))
        return tuple(text for text, sure in found if sure >= self._chosen.confidence)

    @cached_property
    def _cannot(self) -> str | None:
        """Why nothing can be read here."""
        return lacking([PACKAGE]) or (self._reader if isinstance(self._reader, str) else None)

    @cached_property
    def _reader(self) -> Reader | str:
        """The reader, or why there is none; loaded at first use."""
        try:
            return Reader()
        except Exception as error:  # a library of the system is missing, for example
            return f"{PACKAGE} does not load: {error}; {LIBRARIES}"

    def _places(self, sign: Sign, read: Mapping[int, Sequence[str]]) -> list[int]:
        """Numbers of the pictures in which the sign can be read."""
        return [n for n, lines in read.items() if sign.among(self._rules.shown(lines)) or _nearly(sign, lines)]

    def _excluded(self, read: Mapping[int, Sequence[str]]) -> tuple[str, int] | None:
        for number, lines in read.items():
            if hit := self._policy.screen(" ".join(lines), "image"):
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
    forms = {"".join(form) for form in sign.forms} | {"".join(words(sign.said))}
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
