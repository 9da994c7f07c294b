"""Which kind of collection a name is, and the collection opened.

a folder with metadata.csv, .jsonl or .parquet    image_folder.py
a parquet file or glob with the pictures in it    parquet.py
a data set, saved or of the Hub                   hf_dataset.py
"""

from __future__ import annotations

from mirsb_build.images.backends.retrieval.collections.base import Corpus, list_files, locate
from mirsb_build.images.backends.retrieval.collections.hf_dataset import HUB, hub_dataset, saved_dataset
from mirsb_build.images.backends.retrieval.collections.image_folder import ImageFolder
from mirsb_build.images.backends.retrieval.collections.parquet import ParquetFiles
from mirsb_build.images.backends.retrieval.options import Options


def open_corpus(options: Options) -> Corpus:
    """Open the collection that a profile names; raises BadFile for one that is not there or has no table."""
    name = options.corpus
    if name.startswith(HUB):
        return hub_dataset(options)
    fs, root = locate(name)
    if name.endswith(".parquet") or any(sign in name for sign in "*?["):
        return ParquetFiles(options, fs, root)
    listing = list_files(name, fs, root)
    if listing.keys() & {"state.json", "dataset_dict.json"}:
        return saved_dataset(options, listing)
    return ImageFolder(options, fs, root, listing)
