"""Data sets of the library `datasets`: saved to a folder, or on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, cast

from mirsb_build.errors import BadFile, ModelError
from mirsb_build.images.backends.retrieval.collections.base import first_line
from mirsb_build.images.backends.retrieval.collections.table import Row, Table, find_columns
from mirsb_build.images.backends.retrieval.options import Columns, Options
from mirsb_build.records import content_hash

HUB = "hub:"
"""What the name of a data set of the Hub begins with."""


class DataSet:
    """One split of a data set, loaded when its rows are asked for."""

    def __init__(self, options: Options, fingerprint: str, load: Callable[[], Any]) -> None:
        self.name = options.corpus
        self.fingerprint = fingerprint
        self._options = options
        self._load = load

    @cached_property
    def _split(self) -> tuple[str, Any]:
        """Name of the split, empty where there are none, and its rows."""
        try:
            found = self._load()
        except Exception as error:  # `datasets` raises its own, the Hub's and the file system's errors
            raise BadFile(self.name, f"cannot be loaded as a data set: {first_line(error)}") from error
        if not isinstance(found, dict):
            if self._options.split:
                raise BadFile(self.name, "has no splits; take images.options.split out")
            return "", found
        splits = cast("dict[str, Any]", found)
        wanted = self._options.split or (next(iter(splits)) if len(splits) == 1 else "")
        if wanted not in splits:
            missing = f"has no split {wanted!r}" if wanted else "has several splits"
            raise BadFile(self.name, f"{missing}; set images.options.split to one of {', '.join(splits)}")
        return wanted, splits[wanted]

    @cached_property
    def _named(self) -> Columns:
        return find_columns(self.name, self._split[1].column_names, self._options.columns)

    @cached_property
    def _pictures(self) -> Any:
        from datasets import Image

        pictures = self._split[1].select_columns([self._named.image])
        if isinstance(pictures.features[self._named.image], Image):
            return pictures.cast_column(self._named.image, Image(decode=False))
        return pictures

    def rows(self) -> list[Row]:
        split, data = self._split
        named = self._named
        columns = data.select_columns([named.caption, named.licence, named.author, named.url])[:]
        return Table(columns).rows([f"{split or 'row'}#{number}" for number in range(1, len(data) + 1)], named)

    def read(self, place: int) -> bytes:
        value = self._pictures[place][self._named.image]
        data = value.get("bytes") if isinstance(value, dict) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        if not isinstance(data, bytes):
            raise BadFile(self.name, f"column {self._named.image!r} holds no bytes of pictures")
        return data


def saved_dataset(options: Options, listing: Mapping[str, str]) -> DataSet:
    """Open a data set that `save_to_disk` wrote; `listing` has its files."""

    def load() -> Any:
        import datasets

        return datasets.load_from_disk(options.corpus)

    return DataSet(options, content_hash("saved", listing, options.split), load)


def hub_dataset(options: Options) -> DataSet:
    """Open a data set of the Hub at its present commit, which is asked for at once; raises ModelError."""
    repo = options.corpus.removeprefix(HUB)
    try:
        from huggingface_hub import HfApi

        commit = HfApi().dataset_info(repo).sha
    except ImportError as error:
        raise ModelError(f"corpus {options.corpus}: {error}; pip install 'mirsb-build[retrieval]'") from error
    except Exception as error:  # the client's errors have no common base but this
        way_out = "check the name and HF_TOKEN, or save the data set to a folder once (datasets.save_to_disk)"
        raise ModelError(
            f"corpus {options.corpus}: the Hub does not answer for it: {first_line(error)}; {way_out}"
        ) from error

    def load() -> Any:
        import datasets

        return datasets.load_dataset(repo, revision=commit)

    return DataSet(options, content_hash("hub", repo, commit, options.split), load)
