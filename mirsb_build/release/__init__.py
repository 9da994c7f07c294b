"""Releases: data files (dataset.py), card (card.py), manifest and versions (releases.py), what earlier
ones hold (earlier.py), the Hub (hub.py)."""

from mirsb_build.release.earlier import released_peers
from mirsb_build.release.releases import Manifest, Releases, read_manifest, write_release

__all__ = ["Manifest", "Releases", "read_manifest", "released_peers", "write_release"]
