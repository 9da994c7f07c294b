"""Making releases: data files (dataset.py), card (card.py), numbers (numbers.py), versions (releases.py), what earlier
ones hold (earlier.py), the Hub (hub.py). Finished ones are read by the room `releases`."""

from mirsb_build.release.earlier import released_peers
from mirsb_build.release.releases import Releases, write_release

__all__ = ["Releases", "released_peers", "write_release"]
