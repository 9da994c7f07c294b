"""What the backend needs (packages, a collection, an embedder), looked for without importing or reading any of it."""

from __future__ import annotations

from mirsb_build.errors import MirsbError, ModelError
from mirsb_build.images.backends.retrieval.collections.opening import open_corpus
from mirsb_build.images.backends.retrieval.options import REQUIRED, Options
from mirsb_build.runtime.dependencies import Requirement, lacking, package_requirements
from mirsb_build.similarity.embedder import MODEL_PACKAGE, PACKAGED, Embedder, packaged_zip

WAY_OUT = "pip install 'mirsb-build[retrieval]'"


def needed_packages(options: Options) -> list[str]:
    """Name the packages that a profile's options need beside those of every build."""
    packages = ["bm25s", "snowballstemmer"]
    if options.embedder is not None:
        packages += ["sentence-transformers", "faiss-cpu"]
    if options.embedder == PACKAGED:
        packages += [MODEL_PACKAGE, "py3langid"]
    return packages


def check_packages(options: Options) -> None:
    """Raise ModelError for the first package that is missing."""
    if missing := lacking(needed_packages(options), f"install it with: {WAY_OUT}"):
        raise ModelError(f"image backend 'retrieval' {missing}")


def examine(options: Options) -> list[Requirement]:
    """Look for the packages, the collection and the embedder of a profile."""
    packages = package_requirements(needed_packages(options), WAY_OUT)
    return [*packages, _corpus(options), _embedder(options.embedder)]


def _corpus(options: Options) -> Requirement:
    try:
        rows = open_corpus(options).rows()
    except MirsbError as error:
        return Requirement("corpus", False, str(error))
    usable = sum(not row.flaw and all(getattr(row, name) for name in REQUIRED) for row in rows)
    missing = [f"{count} without {name}" for name in REQUIRED if (count := sum(not getattr(row, name) for row in rows))]
    lost = sum(bool(row.flaw) for row in rows)
    flaws = [*missing, *([f"{lost} without a file"] if lost else [])]
    return Requirement("corpus", usable > 0, f"{options.corpus}: " + ", ".join([f"{len(rows)} rows", *flaws]))


def _embedder(name: str | None) -> Requirement:
    if name is None:
        return Requirement("embedder", True, "none: pictures are found by words alone")
    try:
        if name == PACKAGED:
            packaged_zip()
        return Requirement("embedder", True, Embedder(name).identity)
    except MirsbError as error:
        return Requirement("embedder", False, str(error))
