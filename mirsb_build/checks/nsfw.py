"""NSFW: no picture shows, by itself, what a benchmark of relations must not show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock

from cachetools import LRUCache
from pydantic import Field, field_validator

from mirsb_build.checks.decoded import DecodedPicture, decoded_pictures, name_pictures
from mirsb_build.checks.lazy_model import LazyModel, find_packages
from mirsb_build.checks.nudity import DETECTORS, Detector, Nudity
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.ports import BatchCheck, Case, Evidence, Finding, Pixels
from mirsb_build.records import Candidate, Record, checksum
from mirsb_build.similarity.pixels import to_rgb

AT_ONCE = 32
"""Pictures that go through a model together; more are not faster."""
MOST_PICTURES = 50_000
"""Pictures whose probabilities are held, some 20 MB: the same picture stands in many candidates."""


class Nsfw(BatchCheck):
    """Passes a candidate whose pictures show no nudity, each looked at alone.

    Asks local detectors (`nudity.DETECTORS`) about the pictures of all candidates together. The score is the highest
    probability (0 to 1) over pictures and detectors; a score of `threshold` or more fails. It knows nothing of gore or
    of other harm. Abstains where a detector's package is missing.
    """

    name = "nsfw"
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

    def __init__(
        self,
        options: Options,
        taxonomy: Taxonomy,
        detectors: Mapping[str, type[Detector]] = DETECTORS,
        most_pictures: int = MOST_PICTURES,
    ) -> None:
        self.options = options.model_dump()
        self._threshold = options.threshold
        self._detectors = {name: _lazy(detectors[name]) for name in options.detectors}
        self.version = f"1, {', '.join(detector.identity for detector in self._detectors.values())}"
        self._lock = Lock()
        self._nudity_of: LRUCache[str, tuple[Nudity, str]] = LRUCache(most_pictures)

    def lacks(self) -> str | None:
        return next((reason for detector in self._detectors.values() if (reason := detector.lacks())), None)

    def judge(self, candidate: Candidate, evidence: Evidence) -> Finding:
        return self.judge_all([(candidate, evidence)])[0]

    def judge_all(self, cases: Sequence[Case]) -> list[Finding]:
        """One finding a case; all pictures that are new go through the detectors together."""
        detectors = {name: detector.get() for name, detector in self._detectors.items()}
        by_case = [decoded_pictures(*case) for case in cases]
        nudity = self._nudity_in(detectors, (one for pictures in by_case for one in pictures))
        return [self._finding(pictures, nudity) for pictures in by_case]

    def _finding(self, pictures: Sequence[DecodedPicture], nudity: Mapping[str, tuple[Nudity, str]]) -> Finding:
        if not pictures:
            return Finding("abstain", "there is no decoded picture to look at")
        found = [(one.number, *nudity[_key(one)]) for one in pictures]
        highest = max(one.probability for _, one, _ in found)
        bad = [(n, one, detector) for n, one, detector in found if one.probability >= self._threshold]
        faults = "; ".join(f"picture {n} shows {one.what} ({one.probability:.2f} by {name})" for n, one, name in bad)
        return Finding(
            outcome="fail" if bad else "pass",
            score=highest,
            threshold=self._threshold,
            reason=faults or f"no picture seems to show nudity (at most {highest:.2f})",
            feedback=f"Let {name_pictures([n for n, _, _ in bad])} be harmless alone, with people dressed or without "
            "people."
            if bad
            else "",
        )

    def _nudity_in(
        self, detectors: Mapping[str, Detector], pictures: Iterable[DecodedPicture]
    ) -> dict[str, tuple[Nudity, str]]:
        """By key, what most probably is seen in each picture and the detector that sees it."""
        wanted = {_key(one): one.pixels for one in pictures}
        with self._lock:  # shards are filtered in threads
            known = {key: self._nudity_of[key] for key in wanted if key in self._nudity_of}
        new = [key for key in wanted if key not in known]
        for start in range(0, len(new), AT_ONCE):
            keys = new[start : start + AT_ONCE]
            known |= zip(keys, _most_probable(detectors, [to_rgb(wanted[key]) for key in keys]), strict=True)
        with self._lock:
            self._nudity_of.update({key: known[key] for key in new})
        return known


def _lazy(kind: type[Detector]) -> LazyModel[Detector]:
    return LazyModel(lambda: find_packages([kind.package], kind.way_out), kind, kind.package)


def _most_probable(detectors: Mapping[str, Detector], pictures: Sequence[Pixels]) -> list[tuple[Nudity, str]]:
    """For each picture the most probable of what the detectors see, to four digits; of equals the first."""
    by_detector = [
        [(_to_four_digits(one), name) for one in detector.see(pictures)] for name, detector in detectors.items()
    ]
    return [max(seen, key=lambda one: one[0].probability) for seen in zip(*by_detector, strict=True)]


def _to_four_digits(seen: Nudity) -> Nudity:
    return Nudity(round(seen.probability, 4), seen.what)


def _key(one: DecodedPicture) -> str:
    """The image's id, which is its bytes' hash; its pixels' where it is in no record."""
    return one.image_id or checksum(f"{one.pixels.mode}".encode() + one.pixels.tobytes())
