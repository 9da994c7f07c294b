"""How often each picture of a collection is used, so that specs are spread over all that fits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from mirsb_build.images.backends.retrieval.ranking import Places


class PictureUsage:
    """How often each picture is used in a pass; files of the same bytes count as one picture."""

    def __init__(self, files: Sequence[str], used: Iterable[int]) -> None:
        """`files` are the pictures' checksums, `used` the places of pictures that are used already."""
        self._file = np.unique(np.array(files), return_inverse=True)[1]
        self._times = np.zeros(len(files), dtype=np.int64)
        self._with: dict[str, list[int]] = {}
        for file in {int(self._file[place]) for place in used}:
            self._times[file] = 1

    def take(self, candidate: str, fitting: Places) -> int | None:
        """Take the best among the least used pictures that fit, and return its place; None where none fits.

        A picture that the same candidate has already is taken only where nothing else fits.
        """
        if not len(fitting):
            return None
        files = self._file[fitting]
        own = self._with.setdefault(candidate, [])
        apart = ~np.isin(files, own)
        if apart.any():
            files, fitting = files[apart], fitting[apart]
        best = int(self._times[files].argmin())  # of equals the first, which ranks highest
        self._times[files[best]] += 1
        own.append(int(files[best]))
        return int(fitting[best])
