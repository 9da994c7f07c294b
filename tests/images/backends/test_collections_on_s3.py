"""A collection on S3, over its own protocol: a server on loopback, the client that users have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import fsspec
import pytest
from moto.server import ThreadedMotoServer

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import BadFile, ModelError
from mirsb_build.images.backends.retrieval.backend import Retrieval
from mirsb_build.images.backends.retrieval.collections.base import Corpus
from mirsb_build.images.backends.retrieval.collections.opening import open_corpus
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.context import BackendContext
from mirsb_build.records import ImageSpec
from mirsb_build.store import Store
from tests.factories import image_spec
from tests.images.pictures import allot, as_folder, as_parquet, openmoji_shots

COUNT = 30


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket with a folder of pictures and the same as parquet."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "tests")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        files: Any = fsspec.filesystem("s3", skip_instance_cache=True)
        files.mkdir("pictures")
        local, shots = tmp_path_factory.mktemp("local"), openmoji_shots(COUNT)
        files.put(str(as_folder(shots, local / "folder")) + "/", "pictures/folder/", recursive=True)
        as_parquet(shots, local / "tables")
        for file in (local / "tables").rglob("*.parquet"):
            files.put(str(file), f"pictures/tables/{file.name}")
        yield "s3://pictures"
    server.stop()


def opened(corpus: str, taxonomy: Taxonomy, collection: Corpus | None = None) -> Retrieval:
    nobody: Any = None
    context = BackendContext(Store("memory://s3"), nobody, taxonomy.policy)
    return Retrieval(Options(corpus=corpus, embedder=None), context, collection)


def wanted(caption: str) -> ImageSpec:
    return image_spec(keywords=(caption,), description=f"A picture of {caption}.")


@pytest.mark.parametrize("place", ["folder", "tables/*.parquet"])
def test_pictures_of_a_bucket_are_found_and_read(bucket: str, place: str, taxonomy: Taxonomy) -> None:
    backend = opened(f"{bucket}/{place}", taxonomy)
    captions = [shot.caption for shot in openmoji_shots(COUNT)[:5]]
    specs = allot(backend, [wanted(caption) for caption in captions], [])
    drawn = [backend.draw(spec) for spec in specs]
    assert [one.sources[0].title for one in drawn] == captions
    assert all(one.pixels is not None and one.pixels.size == (128, 128) for one in drawn)


def test_a_bucket_that_is_not_there_is_told(bucket: str, taxonomy: Taxonomy) -> None:
    with pytest.raises(BadFile, match="s3://nowhere/folder: "):
        opened("s3://nowhere/folder", taxonomy)


def test_a_picture_that_cannot_be_read_just_now_is_no_verdict(bucket: str, taxonomy: Taxonomy) -> None:
    class Flaky:
        """A collection that can be read when `down` is not set."""

        def __init__(self, corpus: Corpus) -> None:
            self.name, self.fingerprint, self.rows = corpus.name, corpus.fingerprint, corpus.rows
            self._corpus = corpus
            self.down = False

        def read(self, place: int) -> bytes:
            if self.down:
                raise OSError("connection reset")
            return self._corpus.read(place)

    flaky = Flaky(open_corpus(Options(corpus=f"{bucket}/folder", embedder=None)))
    backend = opened(f"{bucket}/folder", taxonomy, flaky)
    [spec] = allot(backend, [wanted(openmoji_shots(COUNT)[0].caption)])
    flaky.down = True
    with pytest.raises(ModelError, match="connection reset; run the same command again"):
        backend.draw(spec)
    flaky.down = False
    assert backend.draw(spec).pixels is not None
