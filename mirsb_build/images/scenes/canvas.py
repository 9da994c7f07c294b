"""What scenes are drawn with: choices that follow from content, palettes, a canvas with smooth edges, placed props.

Nothing here looks at a clock or a random generator: a draw is the hash of a seed and of the draw's own name, so a
picture is the same in every process, and a new draw does not move the others.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, Protocol, TypeVar

from PIL import Image, ImageDraw, ImageFilter, ImageOps

from mirsb_build.records import content_hash

T = TypeVar("T")

Color = tuple[int, ...]
"""Red, green, blue, and opacity where there is one; 0 to 255."""
Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""
Point = tuple[float, float]


class Dice:
    """Choices that follow from a seed: the same seed and name always fall the same way."""

    def __init__(self, *seed: object) -> None:
        self._seed = content_hash(*seed)

    def unit(self, name: str) -> float:
        """A number in [0, 1)."""
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48

    def between(self, name: str, low: float, high: float) -> float:
        return low + (high - low) * self.unit(name)

    def flag(self, name: str) -> bool:
        return self.unit(name) < 0.5

    def choose(self, name: str, options: Sequence[T]) -> T:
        return options[int(self.unit(name) * len(options))]


class Prop(Protocol):
    """A thing that can stand in a scene."""

    def raster(self, size: int) -> Image.Image:
        """RGBA pixels, cropped to what is not transparent, drawn on a square of `size` pixels."""
        ...


class Palette(NamedTuple):
    """Colours that go together, from the back of a scene to its front."""

    sky: Color
    far: Color
    near: Color
    ground: Color
    accent: Color
    light: Color
    ink: Color


def _palette(colors: str) -> Palette:
    return Palette(*(tuple(bytes.fromhex(c)) for c in colors.split()))


PALETTES: tuple[Palette, ...] = tuple(
    _palette(colors)
    for colors in (
        # sky   far    near   ground accent light  ink
        "D8F0F5 A9D6B9 6DB38C 4C9A77 F28F6B FFF6DA 2B4C4F",
        "FFE3D3 F9BFA3 E88F7A B8546A 3E7C8F FFF5E8 4B2840",
        "27335F 3C4C86 56699E 1D2547 FFC857 F3EFD8 12172F",
        "E9E3FA CDBFF0 A48FDB 6F5BB5 FFB35C FBF8FF 35285F",
        "FFF3D6 F4D79F E0B36A C68B47 2F8F9D FFFBEF 59401F",
        "CDEFEA 8FD3CC 4FB0AC 27807F FF7F62 F4FFFC 0F4245",
        "5C3A6E 8B4D80 C76A83 3A2750 FFB88A FFE9DA 22142F",
        "E6F5EC B6DEC8 5D8CA8 2F4B75 F4A940 FFFFFF 1B2B4A",
        "F6E6DD DDB9A6 B9785D 8A4B3C 3F8A76 FFF9F4 45231B",
        "E4EAF0 C3CED9 93A5B8 5F7388 F26B5E FBFDFF 2A3846",
        "BFE6FF FFE08A FFC145 E58B2F 3D6FB4 FFFDF0 3E2F12",
        "1F4A44 2F6B5D 4C8F75 173632 F5C56B EAF6EC 0D221F",
    )
)


def mix(a: Color, b: Color, share: float) -> Color:
    """Colour `a` with `share` (0 to 1) of `b`."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a[:3], b[:3], strict=True))


def veil(color: Color, opacity: float) -> Color:
    """The colour, see-through; opacity 0 to 1."""
    return (*color[:3], round(255 * opacity))


class Canvas:
    """A surface drawn at twice its size and reduced, because ImageDraw has no smooth edges.

    Opaque with a `color`, otherwise transparent, to be put onto a picture. Coordinates are pixels of the result.
    """

    def __init__(self, width: float, height: float, color: Color | None = None) -> None:
        self.width, self.height = max(1, round(width)), max(1, round(height))
        self._factor = 2 if self.width * self.height <= 2_000_000 else 1  # above that edges are smooth enough
        size = (self.width * self._factor, self.height * self._factor)
        self._image = Image.new("RGBA" if color is None else "RGB", size, color or (0, 0, 0, 0))
        self._opaque = ImageDraw.Draw(self._image)
        # Blending is three times as slow as filling: only for colours that ask for it.
        self._blend = self._opaque if color is None else ImageDraw.Draw(self._image, "RGBA")

    @property
    def unit(self) -> int:
        """The shorter side: what sizes are given in."""
        return min(self.width, self.height)

    def _pen(self, color: Color) -> ImageDraw.ImageDraw:
        return self._blend if len(color) == 4 else self._opaque

    def _scaled(self, box: Box) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = (round(v * self._factor) for v in box)
        return x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)

    def rect(self, box: Box, color: Color, radius: float = 0) -> None:
        scaled = self._scaled(box)
        room = min(scaled[2] - scaled[0], scaled[3] - scaled[1]) / 2
        r = min(radius * self._factor, room)
        if r < 1:
            self._pen(color).rectangle(scaled, fill=color)
        else:
            self._pen(color).rounded_rectangle(scaled, r, fill=color)

    def frame(self, box: Box, color: Color, width: float, radius: float = 0) -> None:
        """The outline of a rectangle."""
        scaled = self._scaled(box)
        room = max(0.0, min(scaled[2] - scaled[0], scaled[3] - scaled[1]) / 2)
        r, thick = min(radius * self._factor, room), max(1, round(width * self._factor))
        self._pen(color).rounded_rectangle(scaled, r, outline=color, width=thick)

    def ellipse(self, x: float, y: float, rx: float, ry: float, color: Color) -> None:
        self._pen(color).ellipse(self._scaled((x - rx, y - ry, x + rx, y + ry)), fill=color)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        self.ellipse(x, y, radius, radius, color)

    def ring(self, x: float, y: float, radius: float, color: Color, width: float) -> None:
        box = self._scaled((x - radius, y - radius, x + radius, y + radius))
        self._pen(color).ellipse(box, outline=color, width=max(1, round(width * self._factor)))

    def polygon(self, points: Sequence[Point], color: Color) -> None:
        self._pen(color).polygon([(x * self._factor, y * self._factor) for x, y in points], fill=color)

    def line(self, points: Sequence[Point], color: Color, width: float) -> None:
        """A line with round joints and ends."""
        f, thick = self._factor, max(1, round(width * self._factor))
        scaled = [(x * f, y * f) for x, y in points]
        self._pen(color).line(scaled, fill=color, width=thick, joint="curve")
        for x, y in (scaled[0], scaled[-1]):
            r = thick / 2 - 0.5
            self._pen(color).ellipse((x - r, y - r, x + r, y + r), fill=color)

    def dashes(self, points: Sequence[Point], color: Color, width: float, dash: float) -> None:
        """A dashed line along the points: as much gap as dash."""
        left, on = dash, True
        for (x0, y0), (x1, y1) in pairwise(points):
            length, at = math.hypot(x1 - x0, y1 - y0), 0.0
            while at < length:
                step = min(left, length - at)
                if on and step > 0.5:
                    ends = [(x0 + (x1 - x0) * t / length, y0 + (y1 - y0) * t / length) for t in (at, at + step)]
                    self.line(ends, color, width)
                at, left = at + step, left - step
                if left <= 1e-6:
                    left, on = dash, not on

    def dashed_ring(self, x: float, y: float, radius: float, color: Color, width: float, dashes: int = 22) -> None:
        box = self._scaled((x - radius, y - radius, x + radius, y + radius))
        step, thick = 360 / dashes, max(1, round(width * self._factor))
        for i in range(dashes):
            self._pen(color).arc(box, i * step, (i + 0.55) * step, fill=color, width=thick)

    def arrow(self, start: Point, end: Point, color: Color, width: float) -> None:
        """A thick arrow with a triangular head; horizontal or not."""
        length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1.0
        dx, dy = (end[0] - start[0]) / length, (end[1] - start[1]) / length
        head = min(width * 2.1, length * 0.75)
        neck = (end[0] - dx * head, end[1] - dy * head)
        self.line([start, neck], color, width)
        side = head * 0.72
        self.polygon(
            [end, (neck[0] - dy * side, neck[1] + dx * side), (neck[0] + dy * side, neck[1] - dx * side)], color
        )

    def gradient(self, top: Color, bottom: Color) -> None:
        """Fill the whole surface from one colour above to another below."""
        column = Image.linear_gradient("L").resize((1, self._image.height))
        ramp = ImageOps.colorize(column, top[:3], bottom[:3])  # pyright: ignore[reportArgumentType]
        self._image.paste(ramp.resize(self._image.size, Image.Resampling.NEAREST))

    def image(self) -> Image.Image:
        """The surface at its own size."""
        return self._image if self._factor == 1 else self._image.reduce(self._factor)

    def onto(self, picture: Image.Image, x: float = 0, y: float = 0) -> None:
        """Put a transparent surface onto a picture, its corner at (x, y)."""
        image = self.image()
        picture.paste(image, (round(x), round(y)), image)


@lru_cache(maxsize=16)  # a candidate's pictures have one size; of 64 masks few would be found again
def rounded(width: int, height: int, radius: int) -> Image.Image:
    """A mask with round corners."""
    mask = Canvas(width, height)
    mask.rect((0, 0, width, height), (255, 255, 255), radius)
    return mask.image().getchannel("A")


@lru_cache(maxsize=1)
def _soft_spot() -> Image.Image:
    spot = Image.new("L", (128, 128))
    ImageDraw.Draw(spot).ellipse((20, 20, 107, 107), fill=255)
    return spot.filter(ImageFilter.GaussianBlur(9))


def shadow(picture: Image.Image, box: Box, color: Color, strength: float = 0.42) -> None:
    """A soft dark spot that fills `box`."""
    x, y = round(box[0]), round(box[1])
    size = (max(1, round(box[2]) - x), max(1, round(box[3]) - y))
    mask = _soft_spot().resize(size, Image.Resampling.BILINEAR).point([round(v * strength) for v in range(256)])
    picture.paste(color[:3], (x, y), mask)


def panel(picture: Image.Image, content: Image.Image, x: float, y: float, radius: float, ink: Color) -> None:
    """Put `content` onto the picture as a card with round corners and a shadow below."""
    w, h = content.size
    lift = max(2.0, min(w, h) * 0.05)
    shadow(picture, (x - lift, y + h - lift * 2.5, x + w + lift, y + h + lift * 1.3), ink, 0.4)
    picture.paste(content, (round(x), round(y)), rounded(w, h, round(radius)))


def raster_size(pixels: float) -> int:
    """The size a prop is drawn at: steps of 16 pixels, so that rasters are found again in their cache."""
    return max(16, round(pixels / 16) * 16)


def stand(picture: Image.Image, prop: Prop, x: float, feet: float, size: float, ink: Color) -> None:
    """Put a prop on the ground: its middle at x, its lower edge at `feet`, a soft shadow under it."""
    raster = prop.raster(raster_size(size))
    w, h = raster.size
    depth = max(6.0, w * 0.2)
    shadow(picture, (x - w * 0.62, feet - depth * 0.62, x + w * 0.62, feet + depth * 0.5), ink)
    picture.paste(raster, (round(x - w / 2), round(feet - h)), raster)


def hang(picture: Image.Image, prop: Prop, x: float, y: float, size: float) -> None:
    """Put the middle of a prop at (x, y), without a shadow."""
    raster = prop.raster(raster_size(size))
    picture.paste(raster, (round(x - raster.width / 2), round(y - raster.height / 2)), raster)


_SLOTS: dict[int, tuple[tuple[float, float, float], ...]] = {
    # Middle (share of the width), size (share of the shorter side), lift from the front (share of the height); back
    # to front, the most telling prop last so that nothing covers it.
    1: ((0.50, 0.62, 0.0),),
    2: ((0.73, 0.43, 0.05), (0.33, 0.52, 0.0)),
    3: ((0.18, 0.33, 0.06), (0.82, 0.33, 0.04), (0.49, 0.48, 0.0)),
}


def arrange(picture: Image.Image, props: Sequence[Prop], own: Dice, feet: float, ink: Color) -> None:
    """Stand up to three props beside one another, the first in front; `feet` is the front's height (0 to 1)."""
    w, h = picture.size
    unit = min(w, h)
    mirrored = own.flag("arrange.mirror")
    shift, grow = own.between("arrange.shift", -0.09, 0.09), own.between("arrange.grow", 0.9, 1.12)
    slots = _SLOTS[min(3, len(props))] if props else ()
    for i, ((middle, size, lift), prop) in enumerate(zip(slots, reversed(props[:3]), strict=True)):
        at = middle + shift * (1.0 if len(slots) == 1 else 0.4) + own.between(f"arrange.{i}", -0.025, 0.025)
        room = min(w / 2, unit * size * grow * 0.5)
        x = min(max(w * (1 - at if mirrored else at), room), w - room)
        y = h * (feet - lift + own.between(f"arrange.{i}.y", -0.03, 0.02))
        stand(picture, prop, x, y, unit * size * grow, ink)
