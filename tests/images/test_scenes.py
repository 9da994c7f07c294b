"""Scenes: layouts draw what they promise, whatever the props are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageStat

from mirsb_build.errors import UnknownName
from mirsb_build.images.scenes.backgrounds import PLACES, ground, setting
from mirsb_build.images.scenes.canvas import PALETTES, Dice
from mirsb_build.images.scenes.layouts import LAYOUTS, compose
from mirsb_build.images.scenes.scene import Cast, Scene
from mirsb_build.images.scenes.semantic import knob_room, piece_corner, piece_mask, piece_size, whole
from mirsb_build.records import ImageSpec


@dataclass(frozen=True)
class Square:
    """A prop of one colour."""

    color: tuple[int, int, int]

    def raster(self, size: int) -> Image.Image:
        return Image.new("RGBA", (size, size), (*self.color, 255))


PINK = (255, 0, 200)
PROPS = (Square(PINK), Square((0, 90, 255)))
CAST = Cast(PROPS, (PROPS, PROPS[1:], PROPS))


def spec(layout: str = "plain", index: int = 1, **changes: Any) -> ImageSpec:
    values: dict[str, Any] = {"description": "a", "keywords": ("k",), "count": 3, "candidate": "a"}
    return ImageSpec.model_validate(values | {"layout": layout, "index": index, "width": 256, "height": 256} | changes)


def scene(index: int, **changes: Any) -> Scene:
    one = spec("pieces", index, **changes)
    return Scene(one, CAST, one.width, one.height)


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures' pixels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def test_every_layout_draws_and_no_two_look_alike() -> None:
    pictures = [compose(spec(layout), CAST) for layout in sorted(LAYOUTS)]
    for i, one in enumerate(pictures):
        assert one.size == (256, 256)
        assert all(difference(one, other) > 5 for other in pictures[:i])


@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"pieces"}))
def test_every_layout_shows_the_first_prop_large(layout: str) -> None:
    picture = compose(spec(layout), CAST)
    red, green, blue = np.moveaxis(np.asarray(picture, dtype=np.int32), -1, 0)
    pink = np.minimum(red, blue) - green > 70
    assert pink.mean() > 0.04


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_the_place_in_the_order_changes_the_picture(layout: str) -> None:
    assert difference(compose(spec(layout, 1), CAST), compose(spec(layout, 3), CAST)) > 1


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_does_without_props_and_with_any_number_of_pictures(layout: str) -> None:
    for index, count in ((1, 1), (4, 4), (9, 3)):
        assert compose(spec(layout, index, count=count), Cast(())).size == (256, 256)


def test_an_unknown_layout_is_named() -> None:
    with pytest.raises(UnknownName, match="unknown layout 'jumps'; did you mean 'jump'"):
        compose(spec("jumps"), CAST)


def test_pictures_with_one_candidate_share_palette_and_ground() -> None:
    shared = {Scene(spec(index=i, description=f"{i}"), CAST, 256, 256).setting for i in (1, 2, 3)}
    assert len(shared) == 1
    others = {Scene(spec(candidate=f"{i}"), CAST, 256, 256).setting for i in range(40)}
    assert len({s.palette for s in others}) > 6
    assert len({s.place for s in others}) > 5


@pytest.mark.parametrize("place", sorted(PLACES))
def test_every_place_can_be_drawn_wide_and_tall_in_every_palette(place: str) -> None:
    for i, _ in enumerate(PALETTES):
        for size in ((180, 60), (60, 180)):
            assert ground(setting(Dice("anchor", i), place), Dice("own", i), *size).size == size


@settings(max_examples=15, deadline=None)
@given(
    count=st.integers(2, 4), candidate=st.text(max_size=4), width=st.integers(120, 320), height=st.integers(120, 320)
)
def test_pieces_put_together_are_the_whole(count: int, candidate: str, width: int, height: int) -> None:
    sizes: dict[str, Any] = {"count": count, "candidate": candidate, "width": width, "height": height}
    wide, high = piece_size(scene(1, **sizes))
    room = knob_room(scene(1, **sizes))
    together = Image.new("RGB", (wide * count, high))
    for index in range(1, count + 1):
        one = scene(index, **sizes)
        left, top = piece_corner(one)
        body = compose(one.spec, CAST).crop((left - room, top, left + wide + room, top + high))
        solid = piece_mask(one, index, room).point([255 * (v == 255) for v in range(256)])
        together.paste(body, ((index - 1) * wide - room, 0), solid)
    expected = whole(scene(1, **sizes))
    # What is left over are the soft edges along the seams: a pixel or two wide.
    differs = ImageChops.difference(together, expected).convert("L").point([255 * (v > 0) for v in range(256)])
    assert ImageStat.Stat(differs).mean[0] / 255 < 0.03


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 4), candidate=st.text(max_size=4), width=st.integers(96, 400), height=st.integers(96, 400))
def test_every_pixel_of_the_whole_belongs_to_exactly_one_piece(
    count: int, candidate: str, width: int, height: int
) -> None:
    sizes: dict[str, Any] = {"count": count, "candidate": candidate, "width": width, "height": height}
    one = scene(1, **sizes)
    wide, high = piece_size(one)
    room = knob_room(one)
    total = np.zeros((high, wide * count + 2 * room), np.int32)
    for index in range(1, count + 1):
        mask = Image.new("L", (wide * count + 2 * room, high))
        mask.paste(piece_mask(one, index, room), ((index - 1) * wide, 0))
        total += np.asarray(mask, dtype=np.int32)
    inside = total[:, room : room + wide * count]
    assert abs(inside - 255).max() <= 2  # of 255: what rounding leaves


def test_dice_fall_the_same_way_for_the_same_seed_and_name() -> None:
    assert Dice("a", 1).unit("x") == Dice("a", 1).unit("x")
    assert len({Dice("a", 1).unit("x"), Dice("a", 1).unit("y"), Dice("a", 2).unit("x"), Dice("b").unit("x")}) == 4
    numbers = [Dice("many").between(str(i), 2, 4) for i in range(500)]
    assert 2 <= min(numbers) < 2.1
    assert 3.9 < max(numbers) < 4
