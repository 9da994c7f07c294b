"""What `mirsb doctor` says of a profile's picture collection, without reading its pixels."""

from __future__ import annotations

from mirsb_build.errors import MirsbError
from mirsb_build.images.backends.retrieval.checking import SAYS
from mirsb_build.images.backends.retrieval.collections.base import open_corpus
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.packages import WAY_OUT, needed
from mirsb_build.runtime.dependencies import installed
from mirsb_build.similarity.embedder import PACKAGED, Embedder, packaged_zip

Finding = tuple[str, bool, str]
"""Name, whether it is all right, detail."""


def examine(options: Options) -> list[Finding]:
    """Packages, collection and embedder of a profile."""
    found = [(package, installed(package)) for package in needed(options)]
    packages = [(package, there is not None, there or WAY_OUT) for package, there in found]
    return [*packages, _corpus(options), _embedder(options.embedder)]


def _corpus(options: Options) -> Finding:
    try:
        rows = open_corpus(options).rows()
    except MirsbError as error:
        return "corpus", False, str(error)
    usable = sum(not row.flaw and all(getattr(row, name) for name in SAYS) for row in rows)
    missing = [f"{count} without {name}" for name in SAYS if (count := sum(not getattr(row, name) for row in rows))]
    lost = sum(bool(row.flaw) for row in rows)
    flaws = [*missing, *([f"{lost} without a file"] if lost else [])]
    return "corpus", usable > 0, f"{options.corpus}: " + ", ".join([f"{len(rows)} rows", *flaws])


def _embedder(name: str | None) -> Finding:
    if name is None:
        return "embedder", True, "none: pictures are found by words alone"
    try:
        if name == PACKAGED:
            packaged_zip()
        return "embedder", True, Embedder(name).identity
    except MirsbError as error:
        return "embedder", False, str(error)
