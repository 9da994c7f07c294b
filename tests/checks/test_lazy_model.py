"""Models of checks: found without being loaded, loaded once, and missing in one way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from mirsb_build.checks.lazy_model import LazyModel, find_packages
from mirsb_build.errors import CannotJudge, ModelError


class Loading:
    """Counts how often a model is loaded; raises what it is given instead."""

    def __init__(self, *problems: Exception) -> None:
        self.problems = list(problems)
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        if self.problems:
            raise self.problems.pop(0)
        return "the model"


def lazy(load: Loading, problem: Exception | None = None) -> LazyModel[str]:
    def find() -> str:
        if problem:
            raise problem
        return "tiny 1.0"

    return LazyModel(find, load, "tiny", "; install libtiny")


def test_a_model_is_named_without_being_loaded_and_loaded_once_for_all_threads() -> None:
    load = Loading()
    model = lazy(load)
    assert (model.identity, model.lacks(), load.times) == ("tiny 1.0", None, 0)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: model.get(), range(32))) == {"the model"}
    assert load.times == 1


@pytest.mark.parametrize("problem", [CannotJudge("needs tiny"), ModelError("tiny is no folder")])
def test_what_cannot_be_found_is_not_loaded(problem: Exception) -> None:
    load = Loading()
    model = lazy(load, problem)
    assert (model.identity, model.lacks()) == ("cannot judge", str(problem))
    with pytest.raises(CannotJudge, match=str(problem)):
        model.get()
    assert load.times == 0


@pytest.mark.parametrize(
    ("problem", "told"),
    [(OSError("no such library"), "tiny does not load: no such library; install libtiny"), (ModelError("odd"), "odd")],
)
def test_a_model_that_does_not_load_is_tried_once_in_a_process(problem: Exception, told: str) -> None:
    load = Loading(problem)
    model = lazy(load)
    for _ in range(2):
        with pytest.raises(CannotJudge) as caught:
            model.get()
        assert str(caught.value) == told
    assert load.times == 1
    assert model.lacks() is None, "which only loading it shows"


def test_packages_are_named_with_their_versions_and_the_first_that_is_missing_with_the_way_out() -> None:
    assert find_packages(["pytest"]) == f"pytest {pytest.__version__}"
    with pytest.raises(CannotJudge, match=r"^needs no-such-package; do this$"):
        find_packages(["pytest", "no-such-package", "another"], "do this")
