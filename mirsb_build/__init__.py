"""mirsb-build: the dataset factory behind a multi-image safety benchmark.

    from mirsb_build import open_build, load_release

`open_build` gives a build as it was written, read-only; `load_release` a finished release, from a folder, a store or a
Hub. What packages of others implement is in `mirsb_build.ports`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mirsb_build.defaults import DEFAULT_STORE

if TYPE_CHECKING:
    from mirsb_build.history import History
    from mirsb_build.releases import LoadedRelease

__all__ = ["load_release", "open_build"]


def open_build(build: str, store: str = DEFAULT_STORE) -> History:
    """A build's records as its newest run left them; raises UnknownName where there is none, Damaged for a cut note."""
    from mirsb_build.history import History
    from mirsb_build.store import Store

    return History(Store(store), build)


def load_release(place: str | Path, store: str = DEFAULT_STORE) -> LoadedRelease:
    """A release: a folder, BUILD or BUILD/VERSION in a store, or ORG/NAME on a Hub.

    Raises ReleaseError for what is there and no finished release, UnknownName for what is not there.
    """
    from mirsb_build.releases import load_release
    from mirsb_build.store import Store

    return load_release(place, Store(store))
