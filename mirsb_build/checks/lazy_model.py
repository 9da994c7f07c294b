"""Models of checks: found when the check is opened, loaded at first use, reported as missing in one way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Generic, TypeVar

from mirsb_build.errors import CannotJudge, MirsbError
from mirsb_build.runtime.dependencies import CHECKS, installed, lacking

M = TypeVar("M")


class LazyModel(Generic[M]):
    """A model that is loaded at its first use, once for all threads.

    `find` tells cheaply which model that is, and raises a MirsbError where something is missing. `load` may raise
    anything; what went wrong is remembered, so that a model that does not load is tried once in a process.
    """

    def __init__(self, find: Callable[[], str], load: Callable[[], M], name: str, way_out: str = "") -> None:
        """`name` and `way_out` are for the message about a model that does not load."""
        self._find = find
        self._load = load
        self._name = name
        self._way_out = way_out
        self._lock = Lock()
        self._model: M | None = None
        self._problem: str | None = None

    @property
    def identity(self) -> str:
        """Name and version of the model, for the version of the check."""
        try:
            return self._find()
        except MirsbError:
            return "cannot judge"

    def lacks(self) -> str | None:
        """What is missing, as far as that shows without loading the model."""
        try:
            self._find()
        except MirsbError as error:
            return str(error)
        return None

    def get(self) -> M:
        """The model; raises CannotJudge."""
        with self._lock:
            if self._model is None and self._problem is None:
                self._problem = self.lacks() or self._loading_problem()
            if self._model is None:
                raise CannotJudge(self._problem)
            return self._model

    def _loading_problem(self) -> str | None:
        """Load the model; return why that did not work."""
        try:
            self._model = self._load()
        except MirsbError as error:
            return str(error)
        except Exception as error:  # a library of the system is missing, for example, or a file of weights broken
            return f"{self._name} does not load: {error}{self._way_out}"
        return None


def find_packages(packages: Sequence[str], way_out: str = CHECKS) -> str:
    """Names and versions of packages; raises CannotJudge for one that is not installed."""
    if reason := lacking(packages, way_out):
        raise CannotJudge(reason)
    return ", ".join(f"{package} {installed(package)}" for package in packages)
