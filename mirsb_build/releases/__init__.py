"""Finished releases, read back from wherever they lie: typed instances, manifest, and whether every file is whole.

manifest.py  what is in a release, and how to tell that it is whole
loaded.py    LoadedRelease: its instances, provenance and files
reader.py    load_release: from a folder, a store or a Hub
hub.py       a Hub's files and errors
"""

from mirsb_build.releases.loaded import LoadedRelease, ReleasedInstance
from mirsb_build.releases.manifest import MANIFEST, FileEntry, Manifest, read_manifest
from mirsb_build.releases.reader import load_release, release_of, release_path, releases_of

__all__ = [
    "MANIFEST",
    "FileEntry",
    "LoadedRelease",
    "Manifest",
    "ReleasedInstance",
    "load_release",
    "read_manifest",
    "release_of",
    "release_path",
    "releases_of",
]
