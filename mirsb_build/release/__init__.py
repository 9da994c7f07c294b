"""Releases: data files (dataset.py), card (card.py), manifest and versions (releases.py), the Hub (hub.py)."""

from mirsb_build.release.releases import Manifest, Releases, read_manifest, write_release

__all__ = ["Manifest", "Releases", "read_manifest", "write_release"]
