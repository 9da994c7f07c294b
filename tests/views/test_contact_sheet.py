"""Contact sheets: every tile is on them, whatever its shape and its words."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from mirsb_build.views.contact_sheet import COLUMNS, SIDE, Tile, draw_sheet
from tests.factories import png

COLOURS = [(220, 20, 60), (20, 160, 60), (30, 60, 220), (240, 180, 0), (160, 0, 200), (0, 190, 190)]


def tile(colour: int, group: str, size: tuple[int, int] = (64, 64), caption: str = "A cup.") -> Tile:
    return Tile(png(PillowImage.new("RGB", size, COLOURS[colour])), caption, group)


def opened(page: bytes) -> PillowImage.Image:
    return PillowImage.open(io.BytesIO(page)).convert("RGB")


def boxes(page: bytes) -> dict[int, tuple[int, int, int, int]]:
    """Where each colour is: left, top, right, bottom."""
    pixels = np.asarray(opened(page))
    found: dict[int, tuple[int, int, int, int]] = {}
    for number, colour in enumerate(COLOURS):
        ys, xs = np.nonzero((pixels == colour).all(axis=2))
        if len(xs):
            found[number] = int(xs.min()), int(ys.min()), int(xs.max()), int(ys.max())
    return found


def test_pictures_of_a_group_stand_side_by_side_and_a_group_that_does_not_fit_begins_a_row() -> None:
    page = draw_sheet("Title", "subtitle", [tile(n, group) for n, group in enumerate("aabbcc")])
    at = boxes(page)
    assert sorted(at) == list(range(6))
    tops = [at[n][1] for n in range(6)]
    assert tops[0] == tops[1] == tops[2] == tops[3] < tops[4] == tops[5]
    lefts = [at[n][0] for n in range(6)]
    assert lefts[0] < lefts[1] < lefts[2] < lefts[3]
    assert lefts[2] - lefts[1] > lefts[1] - lefts[0], "groups are apart"
    assert at[0][2] - at[0][0] == SIDE - 1


def test_a_group_wider_than_the_sheet_widens_it() -> None:
    tiles = [tile(n, "one") for n in range(COLUMNS + 1)]
    assert opened(draw_sheet("T", "s", tiles)).width > (COLUMNS + 1) * SIDE
    assert len({box[1] for box in boxes(draw_sheet("T", "s", tiles)).values()}) == 1


def test_tall_and_wide_pictures_keep_their_shape() -> None:
    left, top, right, bottom = boxes(draw_sheet("T", "s", [tile(0, "a", (100, 400))]))[0]
    assert bottom - top == SIDE - 1
    assert abs((right - left) * 4 - (bottom - top)) <= 4


def test_a_picture_that_is_missing_is_a_grey_tile_with_the_reason() -> None:
    without = opened(draw_sheet("T", "s", [Tile(None, "A cup.", "a", "it would not draw it")]))
    silent = opened(draw_sheet("T", "s", [Tile(None, "A cup.", "a", "something else")]))
    assert without.size == silent.size
    grey = (np.asarray(without) == (228, 231, 236)).all(axis=2)
    assert 0.9 * SIDE**2 < grey.sum() < SIDE**2
    assert not np.array_equal(np.asarray(without), np.asarray(silent))


def test_the_same_tiles_are_the_same_bytes_and_no_tiles_are_a_page_too() -> None:
    tiles = [tile(0, "a"), tile(1, "b")]
    assert draw_sheet("T", "s", tiles) == draw_sheet("T", "s", tiles)
    assert opened(draw_sheet("T", "s", [])).width > SIDE


@settings(max_examples=25)
@given(st.lists(st.text(max_size=400), min_size=1, max_size=3), st.text(max_size=200))
@pytest.mark.filterwarnings("error")
def test_any_words_fit_into_the_width(captions: list[str], title: str) -> None:
    plain = draw_sheet("T", "s", [tile(n, "a") for n in range(len(captions))])
    page = draw_sheet(title, title, [tile(n, "a", caption=caption) for n, caption in enumerate(captions)])
    assert opened(page).width == opened(plain).width
    pixels = np.asarray(opened(page))
    assert (pixels[:, -16:] == 255).all(), "nothing is written into the margin"
    assert (pixels[-16:] == 255).all()
