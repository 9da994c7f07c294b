"""Collections: three kinds of them, what is refused, and what is said of those that cannot be used."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms

from mirsb_build.config.taxonomy import Policy, PolicyRule
from mirsb_build.errors import BadFile, ModelError
from mirsb_build.images.backends.retrieval import requirements
from mirsb_build.images.backends.retrieval.backend import Retrieval
from mirsb_build.images.backends.retrieval.collections.opening import open_corpus
from mirsb_build.images.backends.retrieval.languages import count_other_languages
from mirsb_build.images.backends.retrieval.options import Options
from mirsb_build.images.backends.retrieval.screening import UsablePicture, screen_pictures
from mirsb_build.images.normalise import Unusable, decode, decode_to_srgb, fit_to_size
from mirsb_build.runtime import dependencies as installing
from tests.hub_server import Account, File, serve
from tests.images.pictures import (
    Shot,
    as_dataset,
    as_folder,
    as_parquet,
    bomb,
    openmoji_shots,
    phone_jpeg,
    plain_shot,
    png,
    write_table,
)

DUCKS = Policy(rules=(PolicyRule(name="no-ducks", why="Ducks are left in peace.", all_of=(("duck", "ducks"),)),))
KEY = plain_shot("key.png", "A key on a desk.")
LAMP = plain_shot("lamp.png", "A lamp in a window.", (20, 90, 200))


def usable(corpus: object, **options: Any) -> tuple[UsablePicture, ...]:
    asked = Options(corpus=str(corpus), **options)
    return screen_pictures(open_corpus(asked), asked, DUCKS).pictures


def blame(corpus: object, **options: Any) -> str:
    """What is said of a collection that cannot be used."""
    with pytest.raises(BadFile) as caught:
        usable(corpus, **options)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.fixture(scope="module")
def openmoji_shots_200() -> list[Shot]:
    return openmoji_shots()


# The kinds of collections


@pytest.mark.parametrize("table", ["csv", "jsonl", "parquet"])
def test_a_folder_has_its_captions_in_any_of_three_tables(tmp_path: Path, table: str) -> None:
    deep = plain_shot("deep/down/lamp.png", "A lamp in a window.")
    found = usable(as_folder([KEY, deep], tmp_path, table))
    assert [(u.row.id, u.row.caption) for u in found] == [
        ("key.png", "A key on a desk."),
        ("deep/down/lamp.png", "A lamp in a window."),
    ]


@pytest.mark.parametrize("make", [as_folder, as_parquet, as_dataset])
def test_every_kind_has_the_same_rows_and_bytes(
    tmp_path: Path, make: Callable[..., Path], openmoji_shots_200: list[Shot]
) -> None:
    place = make(openmoji_shots_200, tmp_path / "c")
    options = Options(corpus=f"{place}/*.parquet" if make is as_parquet else str(place))
    corpus = open_corpus(options)
    assert [(r.caption, r.licence, r.author, r.url) for r in corpus.rows()] == [
        (s.caption, s.licence, s.author, s.url) for s in openmoji_shots_200
    ]
    for number in (0, 104, 105, 24, 25, 209, 3):
        assert corpus.read(number) == openmoji_shots_200[number].data
    assert len({row.id for row in corpus.rows()}) == len(openmoji_shots_200)
    assert open_corpus(options).fingerprint == corpus.fingerprint


def test_a_collection_may_lie_on_any_file_system(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.put(f"{as_folder([KEY, LAMP], tmp_path / 'f')}/", "/corpus-folder/", recursive=True)
    fs.put(f"{as_parquet([KEY, LAMP], tmp_path / 'p')}/", "/corpus-parquet/", recursive=True)
    assert [u.row.id for u in usable("memory://corpus-folder")] == ["key.png", "lamp.png"]
    assert [u.row.id for u in usable("memory://corpus-parquet/*.parquet")] == [
        "train-00000.parquet#1",
        "train-00001.parquet#1",
    ]


@pytest.mark.skipif(bool(find_spec("s3fs")), reason="s3fs is installed")
def test_a_file_system_that_is_not_installed_is_named() -> None:
    assert blame("s3://pictures/mine").startswith("s3://pictures/mine: Install s3fs")


def test_a_split_is_asked_for_where_there_are_several(tmp_path: Path) -> None:
    import datasets

    one = datasets.load_from_disk(str(as_dataset([KEY], tmp_path / "one")))
    datasets.DatasetDict({"train": one, "test": one}).save_to_disk(str(tmp_path / "both"))
    assert blame(tmp_path / "both").endswith("has several splits; set images.options.split to one of train, test")
    assert blame(tmp_path / "both", split="dev").endswith("set images.options.split to one of train, test")
    assert [u.row.id for u in usable(tmp_path / "both", split="test")] == ["test#1"]
    assert "has no splits" in blame(tmp_path / "one", split="test")


def test_usual_and_own_names_of_columns_are_taken(tmp_path: Path) -> None:
    as_folder([KEY], tmp_path)
    row = {"File_Name": "key.png", "Text": "A key.", "License": "CC0", "creator": "Ada", "source_url": "https://a.org"}
    write_table([row], tmp_path)
    [found] = usable(tmp_path)
    assert (found.row.caption, found.row.licence, found.row.author) == ("A key.", "CC0", "Ada")
    write_table([{**row, "Bildtext": "Ein Schluessel."}], tmp_path)
    assert usable(tmp_path, columns={"caption": "Bildtext"})[0].row.caption == "Ein Schluessel."


def test_the_fingerprint_changes_with_a_picture_and_not_with_the_place(tmp_path: Path) -> None:
    import shutil

    as_folder([KEY, LAMP], tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")  # keeps the times

    def fingerprint(name: str) -> str:
        return open_corpus(Options(corpus=str(tmp_path / name))).fingerprint

    assert fingerprint("a") == fingerprint("b")
    (tmp_path / "b/key.png").write_bytes(LAMP.data)
    assert fingerprint("a") != fingerprint("b")


HUB_CODE = """
from mirsb_build.images.backends.retrieval.collections.opening import open_corpus
from mirsb_build.images.backends.retrieval.options import Options
corpus = open_corpus(Options(corpus="hub:lab/pictures"))
rows = corpus.rows()
print(rows[1].id, len(rows), len(corpus.read(1)), corpus.fingerprint)
"""


def test_a_data_set_of_the_hub_is_read_at_its_present_commit(tmp_path: Path) -> None:
    data = (as_parquet([KEY, LAMP], tmp_path / "p", shards=1) / "train-00000.parquet").read_bytes()
    with serve() as hub:
        hub.accounts["hf_reader"] = Account("reader", reads=frozenset({"lab"}))
        repo = hub.add_repo("lab/pictures", private=True)
        repo.add("Pictures", {"data/train-00000-of-00001.parquet": File(data, large=False)})
        environment = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_reader"}
        environment |= {"HF_HUB_OFFLINE": "0", "HF_DATASETS_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

        def told(**changes: str) -> subprocess.CompletedProcess[str]:
            asked = [sys.executable, "-c", HUB_CODE]
            return subprocess.run(asked, env=environment | changes, capture_output=True, text=True, timeout=60)

        ran = told()
        assert ran.returncode == 0, ran.stderr + "\n".join(hub.log)
        assert ran.stdout.split()[:3] == ["train#2", "2", str(len(LAMP.data))]
        stranger = told(HF_TOKEN="hf_nobody").stderr.splitlines()[-1]
    assert "ModelError: corpus hub:lab/pictures: the Hub does not answer for it: " in stranger
    assert stranger.endswith("or save the data set to a folder once (datasets.save_to_disk)")


# What is refused


def test_refusals_are_counted_by_reason_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shots = [
        KEY,
        plain_shot("a.png", "A door.", licence=""),
        plain_shot("b.png", "A door.", licence="unknown"),
        plain_shot("c.png", "A door.", author=" "),
        plain_shot("d.png", "A door.", url=""),
        plain_shot("e.png", ""),
        plain_shot("f.png", "Ducks on a pond."),
        Shot("g.png", b"no picture at all", "A door."),
        Shot("h.png", KEY.data[:-30], "A door."),
        Shot("i.png", bomb(), "A door."),
        Shot("j.png", bomb(9_400, 9_400), "A door."),
        Shot("k.png", png(Image.new("RGB", (63, 400))), "A door."),
    ]
    as_folder(shots, tmp_path)
    rows = [shot.row for shot in shots]
    rows += [KEY.row | {"file_name": "gone.png"}, KEY.row | {"file_name": "../key.png"}]
    write_table([*rows, KEY.row | {"file_name": str(tmp_path / "key.png")}], tmp_path)
    with caplog.at_level(logging.INFO, "mirsb"):
        assert [u.row.id for u in usable(tmp_path)] == ["key.png"]
    [line] = [r.getMessage() for r in caplog.records if r.name == "mirsb"]
    assert line.startswith(f"corpus {tmp_path}: 1 pictures, 14 refused: 2 without licence (first: a.png), ")
    for part in (
        "2 outside the folder (first: ../key.png)",
        "2 broken (first: g.png)",
        "2 too large (first: i.png)",
        "1 without author (first: c.png)",
        "1 without url (first: d.png)",
        "1 without caption (first: e.png)",
        "1 excluded by the policy (first: f.png)",
        "1 too small (first: k.png)",
        "1 not there (first: gone.png)",
    ):
        assert part in line


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header_and_the_limit_can_be_lowered() -> None:
    for width, height in ((30_000, 30_000), (10_000, 9_000), (9_000, 9_000)):
        with pytest.raises(Unusable, match="80,000,000 pixels"):
            decode(bomb(width, height), 80_000_000)
    with pytest.raises(Unusable, match="is 80 x 80: more than 6,399 pixels"):
        decode(KEY.data, 6_399)
    assert decode(KEY.data, 6_400).size == (80, 80)


# What is said of collections that cannot be used


def test_a_collection_without_rights_says_what_is_missing(tmp_path: Path) -> None:
    as_folder([plain_shot(f"{n}.png", "A door.", licence="") for n in range(30)], tmp_path)
    said = "none of its 30 pictures can be used: 30 without licence (first: 0.png); "
    assert blame(tmp_path) == f"{tmp_path}: {said}give every picture a caption, licence, author and url"


def test_what_is_not_there_or_no_collection_is_told(tmp_path: Path) -> None:
    assert "is not there or empty" in blame(tmp_path / "none")
    assert "is not there" in blame(tmp_path / "none.parquet")
    (tmp_path / "a.txt").write_text("a")
    assert "has no metadata.csv, metadata.jsonl or metadata.parquet" in blame(tmp_path)
    as_folder([KEY], tmp_path)
    as_folder([KEY], tmp_path, "jsonl")
    assert "has metadata.csv and metadata.jsonl; keep one of them" in blame(tmp_path)
    as_parquet([KEY], tmp_path / "p", shards=1)
    assert f"for its parquet files give {tmp_path}/p/*.parquet" in blame(tmp_path / "p")
    (tmp_path / "state.json").write_text("{")
    assert "cannot be loaded as a data set" in blame(tmp_path)


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("metadata.csv", b"file_name,caption\na.png,x,y\n", "line 2: has 3 values for 2 columns"),
        ("metadata.csv", b"file_name,file_name\n", "line 1: has two columns of one name"),
        ("metadata.csv", b"file_name,caption\na.png,\xff\n", "line 2: is not UTF-8"),
        ("metadata.csv", b'file_name\n"a\n', "line 2: is not CSV"),
        ("metadata.csv", b"", "has no column 'image'"),
        ("metadata.jsonl", b'{"file_name": "a"}\n{\n', "line 2: is not JSON"),
        ("metadata.jsonl", b"[1]\n", "line 1: must hold one JSON object a line"),
        ("metadata.parquet", b"PAR1 and no more", "is no whole parquet file"),
        ("metadata.csv", b"file_name,captoin\n", "has no column 'caption'; rename 'captoin' to 'caption'"),
        ("metadata.csv", b"file_name,caption,licence,url\n", "has no column 'author'; add it (it has file_name, "),
    ],
)
def test_a_bad_table_is_told_by_file_and_line(tmp_path: Path, file: str, data: bytes, said: str) -> None:
    (tmp_path / file).write_bytes(data)
    assert blame(tmp_path).startswith(f"{tmp_path / file}")
    assert said in blame(tmp_path)


def test_two_rows_of_one_name_and_a_misspelt_column_are_told(tmp_path: Path) -> None:
    as_folder([KEY, LAMP], tmp_path)
    near = blame(tmp_path, columns={"caption": "capton"})
    assert "has no column 'capton'; did you mean 'caption'? (images.options.columns.caption)" in near
    write_table([KEY.row, LAMP.row, KEY.row | {"file_name": "./key.png"}], tmp_path)
    said = "line 4: names 'key.png' a second time, after line 2; take one of the two out"
    assert blame(tmp_path) == f"{tmp_path / 'metadata.csv'}, {said}"


def test_parquet_must_hold_the_pictures_themselves(tmp_path: Path) -> None:
    row = {"image": "a.png", "caption": "A key.", "licence": "CC0", "author": "Ada", "url": "https://a.org"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    assert "column 'image' is of type string; it must hold the picture's bytes" in blame(tmp_path / "a.parquet")
    pq.write_table(pa.Table.from_pylist([row | {"image": KEY.data}]), tmp_path / "a.parquet")
    assert [u.row.id for u in usable(tmp_path / "a.parquet")] == ["a.parquet#1"]
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    assert "is no whole parquet file" in blame(tmp_path / "a.parquet")


# Pixels


def test_pixels_come_upright_over_white_and_in_srgb() -> None:
    upright = Image.new("RGB", (120, 80), (255, 255, 255))
    upright.paste((200, 0, 0), (0, 0, 60, 80))
    turned = decode_to_srgb(phone_jpeg(upright), 10**6)
    assert turned.size == (120, 80) and not turned.info and not turned.getexif()
    assert np.abs(np.asarray(turned, int) - np.asarray(upright, int)).mean() < 4

    glass = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
    assert decode_to_srgb(png(glass), 10**6).getpixel((5, 5)) == (255, 255, 255)
    deep = Image.fromarray(np.full((80, 80), 0x8000, dtype=np.uint16))
    assert decode_to_srgb(png(deep), 10**6).getpixel((5, 5)) == (128, 128, 128)
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    for profile in (b"no profile", lab):
        odd = decode_to_srgb(png(Image.new("RGB", (80, 80), (9, 99, 200)), icc_profile=profile), 10**6)
        assert odd.mode == "RGB" and odd.size == (80, 80) and not odd.info
    ink = io.BytesIO()
    Image.new("CMYK", (80, 80), (0, 255, 255, 0)).save(ink, format="JPEG")
    assert np.abs(np.subtract(decode_to_srgb(ink.getvalue(), 10**6).getpixel((5, 5)), (255, 0, 0))).max() < 4


def test_formats_of_phones_and_of_the_web_decode() -> None:
    pixels = Image.new("RGB", (80, 80), (9, 99, 200))
    for kind in ("PNG", "JPEG", "MPO", "WEBP", "GIF", "TIFF", "BMP"):
        buffer = io.BytesIO()
        pixels.save(buffer, format=kind)
        assert decode_to_srgb(buffer.getvalue(), 10**6).size == (80, 80), kind
    with pytest.raises(Unusable, match="does not decode: not one of PNG, JPEG"):
        decode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 80 80\n", 10**6)


@pytest.mark.parametrize("size", [(128, 128), (64, 200)])
def test_a_picture_is_cut_or_put_on_white(size: tuple[int, int]) -> None:
    wide = Image.new("RGB", (300, 100), (200, 0, 0))
    cut, put = fit_to_size(wide, size, "crop"), fit_to_size(wide, size, "pad")
    assert cut.size == put.size == size
    assert (cut.getpixel((0, 0)), put.getpixel((0, 0))) == ((200, 0, 0), (255, 255, 255))


# Languages

SENTENCES = {
    "en": ("A dog sleeps on a rug.", "Two chairs stand by a window.", "Portrait of a woman, oil on canvas"),
    "de": ("Ein Hund schläft auf einem Teppich.", "Zwei Stühle stehen am Fenster.", "Blick auf den Marktplatz"),
    "fr": ("Un chien dort sur un tapis.", "Deux chaises près d'une fenêtre.", "La rue principale sous la neige"),
    "zh": ("一只狗睡在地毯上", "窗户旁边有两把椅子", "桌子上放着一本打开的书"),
}


def test_english_captions_are_never_told_and_others_are(openmoji_shots_200: list[Shot]) -> None:
    names = [shot.caption for shot in openmoji_shots_200]
    assert count_other_languages([*names, *SENTENCES["en"]]) == 0
    for language in ("de", "fr", "zh"):
        assert count_other_languages([*names[:60], *SENTENCES[language]]) == 3, language


# What is installed


def test_a_missing_package_is_told_with_the_way_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_folder([KEY], tmp_path)
    monkeypatch.setattr(installing, "version", _without("faiss", installing.version))
    with pytest.raises(ModelError) as caught:
        requirements.check_packages(Options(corpus=str(tmp_path)))
    needs = "image backend 'retrieval' needs faiss-cpu; install it with: pip install 'mirsb-build[retrieval]'"
    assert str(caught.value) == needs
    requirements.check_packages(Options(corpus=str(tmp_path), embedder=None))


def _without(start: str, version: Callable[[str], str]) -> Callable[[str], str]:
    def asked(name: str) -> str:
        if name.startswith(start):
            raise installing.PackageNotFoundError(name)
        return version(name)

    return asked


def test_examine_reads_the_table_and_says_what_is_missing(tmp_path: Path) -> None:
    as_folder([KEY, plain_shot("a.png", "A door.", licence="")], tmp_path)
    found = {name: (ok, detail) for name, ok, detail in Retrieval.examine(Options(corpus=str(tmp_path)))}
    assert found["corpus"] == (True, f"{tmp_path}: 2 rows, 1 without licence")
    assert found["embedder"][0] and found["embedder"][1].startswith("all-MiniLM-L6-v2@")
    assert all(found[name][0] for name in ("faiss-cpu", "bm25s", "py3langid"))
    bad = Retrieval.examine(Options(corpus=str(tmp_path / "none"), embedder="nope"))
    assert [ok for name, ok, _ in bad if name in ("corpus", "embedder")] == [False, False]
