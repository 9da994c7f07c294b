"""Harmless alone: no picture shows, by itself, what a benchmark of relations must not show."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from pydantic import Field, field_validator

from mirsb_build.checks.missing import abstention
from mirsb_build.checks.nudity import DETECTORS, Detector, Seen
from mirsb_build.checks.shown import Shown, named, shown
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import ModelError
from mirsb_build.ports import Case, Evidence, Pixels
from mirsb_build.records import Candidate, Record, Verdict, checksum
from mirsb_build.runtime.dependencies import installed, lacking
from mirsb_build.similarity.pixels import to_rgb

AT_ONCE = 32
"""Pictures that go through a model together; more are not faster."""
KNOWN = 50_000
"""Pictures whose findings are kept, some 20 MB: the same picture stands in many candidates."""


class Harmless:
    """Passes a candidate whose pictures show no nudity, each looked at alone.

    Asks local detectors (`nudity.DETECTORS`) about the pictures of all candidates together. The score is the highest
    probability (0 to 1) over pictures and detectors; a score of `threshold` or more fails. It knows nothing of gore or
    of other harm. Abstains where a detector's package is missing.
    """

    name = "harmless"
    costly = True

    class Options(Record):
        """Who looks, and when a picture shows too much."""

        detectors: tuple[str, ...] = Field(default=("opennsfw",), min_length=1)
        """Of opennsfw and nudenet; the second is to be installed by hand, because of its licence."""
        threshold: float = Field(default=0.4, gt=0, le=1)

        @field_validator("detectors")
        @classmethod
        def _known(cls, detectors: tuple[str, ...]) -> tuple[str, ...]:
            if unknown := [name for name in detectors if name not in DETECTORS]:
                raise ValueError(f"there is no detector {unknown[0]!r}, only {' and '.join(DETECTORS)}")
            return tuple(dict.fromkeys(detectors))

    def __init__(self, options: Options, taxonomy: Taxonomy) -> None:
        self.options = options.model_dump()
        self._chosen = options
        self._lock = Lock()
        self._loaded: dict[str, Detector] = {}
        self._seen: dict[str, tuple[Seen, str]] = {}
        kinds = [DETECTORS[name] for name in options.detectors]
        self._cannot = next((lack for kind in kinds if (lack := lacking([kind.package], kind.way_out))), None)
        self._packages = [kind.package for kind in kinds]

    @property
    def version(self) -> str:
        """Part of a finished shard's key: once the detectors load, what was abstained on is judged."""
        versions = ", ".join(f"{package} {installed(package)}" for package in self._packages)
        return f"1, {versions}" if self._cannot is None else "1, cannot judge"

    def judge(self, candidate: Candidate, evidence: Evidence) -> Verdict:
        return self.judge_all([(candidate, evidence)])[0]

    def judge_all(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict a case; all pictures that are new go through the detectors together."""
        by_case = [shown(*case) for case in cases]
        if self._cannot is None:
            try:
                seen = self._all_seen(one for pictures in by_case for one in pictures)
                return [self._verdict(pictures, seen) for pictures in by_case]
            except ModelError as error:
                self._cannot = str(error)
        return [abstention(self.name, self.version, self._cannot) for _ in cases]

    def _verdict(self, pictures: Sequence[Shown], seen: dict[str, tuple[Seen, str]]) -> Verdict:
        if not pictures:
            return abstention(self.name, self.version, "there is no decoded picture to look at")
        found = [(one.number, *seen[_key(one)]) for one in pictures]
        highest = max(said.probability for _, said, _ in found)
        bad = [(n, said, who) for n, said, who in found if said.probability >= self._chosen.threshold]
        told = "; ".join(f"picture {n} shows {said.what} ({said.probability:.2f} by {who})" for n, said, who in bad)
        return Verdict(
            check=self.name,
            version=self.version,
            outcome="fail" if bad else "pass",
            score=highest,
            threshold=self._chosen.threshold,
            reason=told or f"no picture seems to show nudity (at most {highest:.2f})",
            feedback=f"Let {named([n for n, _, _ in bad])} be harmless alone, with people dressed or without people."
            if bad
            else "",
        )

    def _all_seen(self, pictures: Iterable[Shown]) -> dict[str, tuple[Seen, str]]:
        """By key, what most probably is seen in each picture and which detector says so."""
        wanted = {_key(one): one.pixels for one in pictures}
        with self._lock:
            known = {key: self._seen[key] for key in wanted if key in self._seen}
            new = [key for key in wanted if key not in known]
            detectors = {name: self._detector(name) for name in self._chosen.detectors if new}
        for start in range(0, len(new), AT_ONCE):
            keys = new[start : start + AT_ONCE]
            known |= zip(keys, _looked(detectors, [to_rgb(wanted[key]) for key in keys]), strict=True)
        with self._lock:
            if len(self._seen) + len(new) > KNOWN:
                self._seen.clear()
            self._seen |= {key: known[key] for key in new}
        return known

    def _detector(self, name: str) -> Detector:
        """The detector, loaded once for all threads; raises ModelError."""
        if name not in self._loaded:
            try:
                self._loaded[name] = DETECTORS[name]()
            except Exception as error:  # a library of the system is missing, for example, or a file of weights broken
                raise ModelError(f"{DETECTORS[name].package} does not load: {error}") from error
        return self._loaded[name]


def _looked(detectors: dict[str, Detector], pictures: Sequence[Pixels]) -> list[tuple[Seen, str]]:
    """For each picture the most probable of what the detectors see, to four digits; of equals the first."""
    by_detector = [[(_rounded(seen), name) for seen in one.see(pictures)] for name, one in detectors.items()]
    return [max(said, key=lambda one: one[0].probability) for said in zip(*by_detector, strict=True)]


def _rounded(seen: Seen) -> Seen:
    return Seen(round(seen.probability, 4), seen.what)


def _key(one: Shown) -> str:
    """The image's id, which is its bytes' hash; its pixels' where it is in no record."""
    return one.picture.image.id if one.picture.image else checksum(f"{one.pixels.mode}".encode() + one.pixels.tobytes())
