"""Retrieval: the right picture by word and by meaning, each used as little as possible, and nothing but its pixels."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mirsb_build.config.profiles import ImageChoice
from mirsb_build.config.prompts import Prompts
from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.errors import BadFile, ModelError, UsageError
from mirsb_build.images import BackendContext, Images, open_backend
from mirsb_build.images.backends.retrieval import index
from mirsb_build.images.backends.retrieval.backend import Retrieval
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.ranking import Lexical, Ranking
from mirsb_build.images.backends.retrieval.usage import PictureUsage
from mirsb_build.images.encoding import XMP
from mirsb_build.ports import RenderedImage
from mirsb_build.records import Image, ImageSpec
from mirsb_build.similarity import embedder as embedding
from mirsb_build.store import Store
from tests.factories import Scripted, image_spec, models
from tests.images.pictures import (
    Shot,
    allot,
    as_folder,
    as_parquet,
    openmoji_shots,
    phone_jpeg,
    plain_shot,
    png,
    write_table,
)


@pytest.fixture(scope="module")
def shots() -> list[Shot]:
    return openmoji_shots()


@pytest.fixture(scope="module")
def collection(shots: list[Shot], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """210 drawings in a folder, to be looked at only."""
    return as_folder(shots, tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="module")
def context(taxonomy: Taxonomy, prompts: Prompts, tmp_path_factory: pytest.TempPathFactory) -> BackendContext:
    store = Store(str(tmp_path_factory.mktemp("store")))
    return BackendContext(store, models(Scripted(), store, prompts, taxonomy.policy), taxonomy.policy)


@pytest.fixture(scope="module")
def retrieval(collection: Path, context: BackendContext) -> Iterator[Retrieval]:
    yield opened(collection, context)


def opened(corpus: Path | str, context: BackendContext, **options: Any) -> Retrieval:
    backend = open_backend(ImageChoice(backend="retrieval", options={"corpus": str(corpus), **options}), context)
    assert isinstance(backend, Retrieval) and backend.has_stock
    return backend


def wanted(*keywords: str, candidate: str = "a", description: str = "", **changes: Any) -> ImageSpec:
    said = description or f"A picture of {' and '.join(keywords)}."
    return image_spec(keywords=keywords, description=said, candidate=candidate, **changes)


def sources(backend: Retrieval, *specs: ImageSpec, used: tuple[str, ...] = ()) -> list[str]:
    return backend.allot(specs, used)


def rendered(backend: Retrieval, *specs: ImageSpec) -> list[RenderedImage]:
    async def all_of_them() -> list[RenderedImage]:
        return [one async for one in backend.render(specs)]

    return asyncio.run(all_of_them())


def small(tmp_path: Path, *captions: str) -> Path:
    """A collection of one-coloured pictures, no two of one colour."""
    some = [plain_shot(f"{n}.png", c, (n % 256, n // 256, 90)) for n, c in enumerate(captions)]
    return as_folder(some, tmp_path)


# What is found


@pytest.mark.parametrize(
    ("keyword", "description", "caption"),
    [
        ("key", "A key on a desk.", "key"),
        ("rocket", "A rocket stands ready.", "rocket"),
        ("feline", "A feline sits on a mat.", "cat"),
        ("diary", "A diary lies open.", "open book"),
        ("spacecraft", "A spacecraft takes off.", "rocket"),
    ],
)
def test_a_picture_is_found_by_word_and_by_meaning(
    retrieval: Retrieval, shots: list[Shot], keyword: str, description: str, caption: str
) -> None:
    [source] = sources(retrieval, wanted(keyword, description=description))
    assert {s.file_name: s.caption for s in shots}[source] == caption


def test_words_alone_miss_what_only_the_meaning_finds(
    collection: Path, context: BackendContext, retrieval: Retrieval
) -> None:
    words = opened(collection, context, embedder=None)
    feline, key = wanted("feline"), wanted("key")
    assert sources(words, feline) == [""] and sources(words, key) == ["1F511.png"]
    assert sources(retrieval, feline) != [""]


def test_nothing_is_taken_for_what_the_collection_has_not(retrieval: Retrieval, collection: Path) -> None:
    [spec] = allot(retrieval, [wanted("zxqv", description="zxqv")], [])
    assert spec.source == ""
    [none] = rendered(retrieval, spec)
    assert none.pixels is None and none.problem == f"nothing in corpus {collection.name} fits 'zxqv'"


def test_all_words_of_a_keyword_count_before_one_of_them(tmp_path: Path, context: BackendContext) -> None:
    words = opened(small(tmp_path, "a red door", "a red kite", "a kite"), context, embedder=None)
    assert sources(words, *[wanted("red kite", candidate=str(n)) for n in range(3)]) == ["1.png"] * 3
    assert sources(words, wanted("red lamp", candidate="x")) == ["0.png"], "one word is better than nothing"


def test_captions_in_other_languages_are_told_and_found_by_their_words(
    tmp_path: Path, context: BackendContext, caplog: pytest.LogCaptureFixture
) -> None:
    german = ("Ein Hund schläft auf einem Teppich.", "Zwei Stühle stehen am Fenster.", "Blick auf den Marktplatz")
    folder = small(tmp_path, *german, "一只狗睡在地毯上", "A lamp in a window.")
    backend = opened(folder, context)
    with caplog.at_level(logging.INFO, "mirsb"):
        assert sources(backend, wanted("Teppich"), wanted("地毯")) == ["0.png", "3.png"]
    [line] = [r.getMessage() for r in caplog.records if "English" in r.getMessage()]
    assert line == (
        f"corpus {folder}: at least 4 of 5 captions are not in English, which the embedder all-MiniLM-L6-v2 does not "
        "know; name a multilingual one with images.options.embedder"
    )


# How it is spread


def test_specs_with_one_keyword_take_all_that_fits_evenly(tmp_path: Path, context: BackendContext) -> None:
    captions = [f"a kite over {place}" for place in "sea hill town lake park field farm road wood moor".split()]
    backend = opened(small(tmp_path, *captions, "a lamp", "a door"), context, embedder=None)
    taken = sources(backend, *[wanted("kite", candidate=str(n), description=f"Kite {n}.") for n in range(200)])
    assert Counter(taken) == {f"{n}.png": 20 for n in range(10)}


def test_no_candidate_has_a_picture_twice_while_another_fits(tmp_path: Path, context: BackendContext) -> None:
    backend = opened(small(tmp_path, "a kite", "kites"), context, embedder=None)
    taken = sources(backend, *[wanted("kite", candidate=candidate, index=n) for candidate in "abc" for n in (1, 2)])
    assert all(set(taken[n : n + 2]) == {"0.png", "1.png"} for n in (0, 2, 4))
    assert Counter(sources(backend, *[wanted("kite", index=n) for n in (1, 2, 3)])) in (
        {"0.png": 2, "1.png": 1},
        {"0.png": 1, "1.png": 2},
    )


def test_pictures_that_are_used_already_come_last(tmp_path: Path, context: BackendContext) -> None:
    backend = opened(small(tmp_path, "a kite", "a kite", "a kite"), context, embedder=None)
    specs = [wanted("kite", candidate=a) for a in "abc"]
    assert sources(backend, *specs, used=("0.png", "of another build")) == ["1.png", "2.png", "0.png"]


def test_the_same_file_twice_is_one_picture(tmp_path: Path, context: BackendContext) -> None:
    one = plain_shot("a.png", "a kite")
    other = plain_shot("c.png", "a kite", (0, 0, 9))
    backend = opened(as_folder([one, Shot("b.png", one.data, "a kite"), other], tmp_path), context, embedder=None)
    assert sources(backend, wanted("kite"), wanted("kite", index=2)) == ["a.png", "c.png"]
    assert sources(backend, wanted("kite"), used=("b.png",)) == ["c.png"]


THINGS = ("kite", "lamp", "door", "boat")


@given(
    captions=st.lists(st.lists(st.sampled_from(THINGS), min_size=1, max_size=2, unique=True), min_size=1, max_size=8),
    specs=st.lists(st.tuples(st.sampled_from(THINGS), st.sampled_from("abc")), max_size=12),
    used=st.sets(st.integers(0, 7)),
)
def test_every_spec_gets_a_picture_that_fits_and_none_twice_while_others_are_free(
    captions: list[list[str]], specs: list[tuple[str, str]], used: set[int]
) -> None:
    ranking = Ranking(Lexical([" and ".join(caption) for caption in captions]), None)
    taken = {place for place in used if place < len(captions)}
    usage = PictureUsage([str(n) for n in range(len(captions))], taken)
    had: dict[str, list[int]] = {}
    asked = [wanted(thing, candidate=candidate) for thing, candidate in specs]
    for (thing, candidate), fits in zip(specs, ranking.fitting(asked, None), strict=True):
        place = usage.take(candidate, fits)
        fitting = {n for n, caption in enumerate(captions) if thing in caption}
        own = had.setdefault(candidate, [])
        if place is None:
            assert not fitting
            continue
        assert place in fitting
        assert place not in own or fitting <= set(own)
        if fitting - taken - set(own):
            assert place not in taken
        taken.add(place)
        own.append(place)


# The same again


def test_another_process_chooses_the_same_and_finds_all_in_the_store(
    collection: Path, retrieval: Retrieval, context: BackendContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [wanted(k, candidate=str(n % 7)) for n, k in enumerate(["feline", "key", "writing", "vehicle", "food"] * 4)]
    here = sources(retrieval, *specs)
    code = (
        "import json, sys; from mirsb_build.images import *; from mirsb_build.config.profiles import ImageChoice;"
        "from mirsb_build.records import ImageSpec; from mirsb_build.store import Store;"
        "from mirsb_build.config.taxonomy import load_taxonomy; asked = json.load(sys.stdin);"
        "choice = ImageChoice(backend='retrieval', options={'corpus': asked['corpus']});"
        "backend = open_backend(choice, BackendContext(Store('memory://x'), None, load_taxonomy().policy));"
        "heavy = {'torch', 'faiss', 'sentence_transformers', 'datasets'} & set(sys.modules);"
        "sources = backend.allot([ImageSpec.model_validate(s) for s in asked['specs']], []);"
        "print(json.dumps([sorted(heavy), backend.identity, sources]))"
    )
    asked = json.dumps({"corpus": str(collection), "specs": [s.model_dump(mode="json") for s in specs]})
    run = subprocess.run([sys.executable, "-c", code], input=asked, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == [[], retrieval.identity, here]

    monkeypatch.setattr(index, "screen_pictures", lambda *_: pytest.fail("looked at the pictures again"))
    monkeypatch.setattr(embedding.Embedder, "embed", lambda *_: pytest.fail("embedded again"))
    again = opened(collection, context)
    assert sources(again, *specs) == here


def test_only_new_specs_are_embedded_once_the_collection_is_known(
    collection: Path, retrieval: Retrieval, context: BackendContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(retrieval, wanted("key"))
    texts: list[int] = []
    embed = embedding.Embedder.embed
    monkeypatch.setattr(embedding.Embedder, "embed", lambda self, said: (texts.append(len(said)), embed(self, said))[1])
    sources(opened(collection, context), wanted("rocket", description="Up it goes."))
    assert max(texts) == len(embedding.UNRELATED)


def test_a_damaged_index_is_made_again(tmp_path: Path, context: BackendContext) -> None:
    folder = small(tmp_path, "a kite", "a lamp")
    sources(opened(folder, context, embedder=None), wanted("kite"))
    newest = max(Path(context.store.url).rglob("pictures.json"), key=lambda p: p.stat().st_mtime_ns)
    newest.write_bytes(newest.read_bytes()[:-9])
    assert sources(opened(folder, context, embedder=None), wanted("lamp")) == ["1.png"]


def test_the_identity_changes_with_the_pictures_and_the_options(tmp_path: Path, context: BackendContext) -> None:
    folder = small(tmp_path, "a kite", "a lamp")
    options: list[dict[str, Any]] = [{}, {"fit": "pad"}, {"embedder": None}, {"most_pixels": 10_000}]
    known = {opened(folder, context, **o).identity for o in options}
    (folder / "0.png").write_bytes(plain_shot("0.png", "").data)
    assert len(known | {opened(folder, context).identity}) == 5
    assert all(identity.startswith("retrieval-1/") for identity in known)


# What is stored


def test_a_stored_picture_is_upright_bears_its_licence_and_nothing_of_the_phone(
    tmp_path: Path, context: BackendContext
) -> None:
    upright = PillowImage.new("RGB", (160, 160), (250, 250, 250))
    upright.paste((200, 0, 0), (0, 0, 160, 80))
    shot = Shot("roof.jpg", phone_jpeg(upright), "A red roof.", "CC BY 4.0", "Ada Example", "https://a.example/roof")
    assert PillowImage.open(io.BytesIO(shot.data)).getexif().get_ifd(0x8825)
    backend = opened(as_folder([shot], tmp_path), context)
    images = Images(backend, context.store)
    [spec] = allot(images, [wanted("roof")], [])
    [made] = asyncio.run(images.render([spec]))
    assert isinstance(made.result, Image)
    stored = PillowImage.open(io.BytesIO(images.read(made.result)))
    assert stored.size == (128, 128) and stored.mode == "RGB"
    assert not stored.getexif() and set(stored.info) <= {XMP, "xmp"}
    ground = np.asarray(stored, int)
    assert abs(ground[20, 64] - (200, 0, 0)).max() < 12 and abs(ground[110, 64] - (250, 250, 250)).max() < 12
    said = " ".join(Xml.fromstring(stored.info[XMP]).itertext())
    assert all(words in said for words in ("CC BY 4.0", "Ada Example", "A red roof.: https://a.example/roof"))
    [source] = made.result.sources
    assert (source.title, source.file, source.licence) == ("A red roof.", "roof.jpg", "CC BY 4.0")


def test_pictures_of_parquet_files_come_in_any_order_of_specs(
    shots: list[Shot], tmp_path: Path, context: BackendContext
) -> None:
    backend = opened(f"{as_parquet(shots, tmp_path)}/*.parquet", context, embedder=None)
    specs = allot(backend, [wanted("rocket"), wanted("zxqv"), wanted("key", index=2), wanted("pen", index=3)], [])
    done = {one.spec.id: one for one in rendered(backend, *specs)}
    assert [bool(done[spec.id].pixels) for spec in specs] == [True, False, True, True]
    assert [done[spec.id].sources[0].title for spec in specs if spec.source][:2] == ["rocket", "key"]


def test_a_picture_that_broke_or_went_since_then_is_told(tmp_path: Path, context: BackendContext) -> None:
    folder = small(tmp_path, "a kite", "a lamp", "a door")
    backend = opened(folder, context, embedder=None)
    kite, lamp = allot(backend, [wanted("kite"), wanted("lamp")], [])
    (folder / "0.png").write_bytes(b"no picture")
    (folder / "1.png").unlink()
    gone = image_spec(source="gone.png")
    said = {one.spec.source: one.problem for one in rendered(backend, kite, gone)}
    assert said["0.png"].startswith(f"picture 0.png of corpus {folder.name} does not decode: not one of PNG, JPEG")
    with pytest.raises(ModelError, match=r"picture 1\.png cannot be read: .*; run the same command again"):
        rendered(backend, lamp)
    assert said["gone.png"] == f"corpus {folder.name} has no picture gone.png that may be used"


def test_opening_tells_what_is_wrong_with_options_and_collection(tmp_path: Path, context: BackendContext) -> None:
    with pytest.raises(UsageError, match="image backend 'retrieval': unknown key 'corpsu'; did you mean 'corpus'"):
        open_backend(ImageChoice(backend="retrieval", options={"corpsu": "x"}), context)
    with pytest.raises(BadFile, match="is not there or empty"):
        opened(tmp_path / "none", context)
    as_folder([Shot("a.png", png(PillowImage.new("L", (80, 80))), "grey")], tmp_path)
    write_table([{"file_name": "a.png", "caption": "grey"}], tmp_path)
    with pytest.raises(BadFile, match="has no column 'licence'"):
        opened(tmp_path, context)
    assert Options(corpus="x").embedder == "all-MiniLM-L6-v2"
