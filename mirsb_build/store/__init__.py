"""The store: builds, blobs and the call cache behind one fsspec URL, written atomically and checked when read.

cache/<aa>/<key>.json                       one model or image call
cache/batches/<hash>.json                   one batch of model calls: where its requests are answered
blobs/<aa>/<sha256>.<ext>                   image bytes
builds/<name>/build.json                    what the build was made with
builds/<name>/<stage>/round-<k>/shard-<n>.jsonl
builds/<name>/verdicts/<aa>/<hash>.json     verdicts on one candidate revision, or of one comparison
builds/<name>/review/, release/<version>/, report.html
"""

from mirsb_build.store.files import Files
from mirsb_build.store.lock import build_lock, review_lock
from mirsb_build.store.shards import Shard
from mirsb_build.store.store import Store

__all__ = ["Files", "Shard", "Store", "build_lock", "review_lock"]
