"""The grounds that scenes stand on: nine ordinary places, each drawn with one palette.

A ground takes two sources of choices: `shared`, of all pictures of a candidate (place, horizon, side), and
`own`, of one picture (clouds, windows, books, ...). So pictures of a candidate look as if taken in one place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageOps

from mirsb_build.images.scenes.canvas import PALETTES, Canvas, Dice, Palette, Point, mix, veil


@dataclass(frozen=True)
class Setting:
    """Where a scene plays: what the pictures of one candidate share."""

    place: str
    palette: Palette
    horizon: float
    """Height of the line between back and ground, from the top (0 to 1)."""
    mirrored: bool
    phase: float
    """Where repeating shapes (hills, houses) begin, 0 to 1."""

    @property
    def feet(self) -> float:
        """Height where things in front stand, from the top (0 to 1)."""
        return min(0.93, self.horizon + 0.27)


def setting(shared: Dice, place: str | None = None) -> Setting:
    """The setting of a candidate; `place` overrides which of `PLACES` it is."""
    return Setting(
        place=place or shared.choose("place", sorted(PLACES)),
        palette=shared.choose("palette", PALETTES),
        horizon=shared.between("horizon", 0.46, 0.68),
        mirrored=shared.flag("mirrored"),
        phase=shared.unit("phase"),
    )


def ground(setting: Setting, own: Dice, width: float, height: float) -> Image.Image:
    """Draw a setting without any props."""
    canvas = Canvas(width, height, setting.palette.sky)
    PLACES[setting.place](canvas, setting, own, setting.phase)
    image = canvas.image()
    return ImageOps.mirror(image) if setting.mirrored else image


def _hills(c: Canvas, base: float, height: float, phase: float, waves: float) -> list[Point]:
    """The outline of soft hills that fill the canvas below `base`."""
    steps = 40
    line = [
        (c.width * i / steps, base - height * (0.5 + 0.5 * math.sin(2 * math.pi * (waves * i / steps + phase))))
        for i in range(steps + 1)
    ]
    return [*line, (c.width, c.height), (0, c.height)]


def _cloud(c: Canvas, x: float, y: float, size: float, p: Palette) -> None:
    color = mix(p.sky, p.light, 0.75)
    for dx, dy, r in ((-0.9, 0.12, 0.42), (-0.25, -0.2, 0.62), (0.5, -0.02, 0.5), (1.0, 0.2, 0.3)):
        c.disc(x + dx * size, y + dy * size, r * size, color)
    c.rect((x - 1.25 * size, y + 0.1 * size, x + 1.25 * size, y + 0.54 * size), color, 0.22 * size)


def _sky(c: Canvas, s: Setting, own: Dice) -> None:
    """Gradient, sun or moon with a halo, clouds."""
    p, w, h, u = s.palette, c.width, c.height, c.unit
    c.gradient(p.sky, mix(p.sky, p.light, 0.55))
    x, y, r = own.between("sun.x", 0.1, 0.9) * w, own.between("sun.y", 0.12, 0.26) * h, 0.085 * u
    c.disc(x, y, r * 2.1, mix(p.sky, p.accent, 0.16))
    c.disc(x, y, r, mix(p.accent, p.light, 0.25))
    for i in range(own.choose("clouds", (1, 2, 2, 3))):
        at = own.between(f"cloud.{i}.x", 0.0, 1.0) * w, own.between(f"cloud.{i}.y", 0.1, 0.36) * h
        _cloud(c, *at, own.between(f"cloud.{i}.size", 0.05, 0.085) * u, p)


def _meadow(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    p, h, u = s.palette, c.height, c.unit
    _sky(c, s, own)
    top = s.horizon * h
    c.polygon(_hills(c, top, 0.16 * h, phase, 0.9), p.far)
    c.polygon(_hills(c, top + 0.07 * h, 0.11 * h, phase + 0.45, 1.3), p.near)
    c.polygon(_hills(c, top + 0.16 * h, 0.05 * h, phase + 0.1, 0.7), p.ground)
    blade = mix(p.ground, p.light, 0.22)
    for i in range(9):
        x, y = own.unit(f"grass.{i}.x") * c.width, own.between(f"grass.{i}.y", s.horizon + 0.2, 0.98) * h
        for lean in (-0.012, 0.0, 0.012):
            c.line([(x, y), (x + lean * u, y - 0.022 * u)], blade, 0.007 * u)


def _city(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    p, w, h, u = s.palette, c.width, c.height, c.unit
    _sky(c, s, own)
    base = s.horizon * h
    for row, color, tall, count in ((0, p.far, 0.34, 7), (1, p.near, 0.2, 6)):
        x, i = -(phase % 1) * w / count, 0
        while x < w:
            wide = (0.8 + 0.5 * own.unit(f"house.{row}.{i}.w")) * w / count
            top = base - tall * h * own.between(f"house.{row}.{i}.h", 0.5, 1.0)
            c.rect((x, top, x + wide, base), color)
            if row:
                for k in range(6):
                    wx, wy = x + wide * (0.18 + 0.36 * (k % 2)), top + 0.03 * h + 0.05 * h * (k // 2)
                    lit = own.flag(f"window.{i}.{k}")
                    if wy + 0.03 * h < base:
                        c.rect((wx, wy, wx + wide * 0.24, wy + 0.026 * h), mix(p.near, p.light, 0.7 if lit else 0.25))
            x, i = x + wide + 0.012 * w, i + 1
    c.rect((0, base, w, h), p.ground)
    c.rect((0, base, w, base + 0.035 * h), mix(p.ground, p.light, 0.45))
    for i in range(-1, 6):
        x = (i + phase % 1) * w / 5
        c.rect((x, h * 0.955, x + 0.11 * w, h * 0.955 + 0.014 * u), mix(p.ground, p.light, 0.5))


def _window(c: Canvas, x: float, y: float, wide: float, high: float, p: Palette) -> None:
    c.rect((x - 0.02 * c.unit, y - 0.02 * c.unit, x + wide + 0.02 * c.unit, y + high + 0.02 * c.unit), p.light, 4)
    c.rect((x, y, x + wide, y + high), mix(p.far, p.light, 0.35))
    c.polygon([(x, y + high), (x, y + high * 0.6), (x + wide * 0.6, y), (x + wide, y)], mix(p.far, p.light, 0.6))
    c.rect((x + wide * 0.48, y, x + wide * 0.52, y + high), p.light)
    c.rect((x, y + high * 0.47, x + wide, y + high * 0.52), p.light)


def _room(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    p, w, h, u = s.palette, c.width, c.height, c.unit
    base = s.horizon * h
    wall = mix(p.sky, p.far, 0.45)
    c.gradient(wall, mix(wall, p.light, 0.25))
    side = own.between("window", 0.06, 0.3) * w
    _window(c, side, 0.1 * h, 0.26 * w, base * 0.55, p)
    fx, fy = side + own.between("picture.x", 0.4, 0.52) * w, own.between("picture.y", 0.1, 0.2) * h
    c.rect((fx, fy, fx + 0.2 * u, fy + 0.16 * u), p.ink, 3)
    c.rect((fx + 0.015 * u, fy + 0.015 * u, fx + 0.185 * u, fy + 0.145 * u), p.light)
    c.polygon([(fx + 0.03 * u, fy + 0.13 * u), (fx + 0.08 * u, fy + 0.05 * u), (fx + 0.14 * u, fy + 0.13 * u)], p.near)
    c.disc(fx + 0.14 * u, fy + 0.055 * u, 0.02 * u, p.accent)
    c.rect((0, base, w, h), p.ground)
    c.rect((0, base - 0.03 * h, w, base), p.light)
    plank = mix(p.ground, p.ink, 0.14)
    for i in range(1, 4):
        y = base + (h - base) * (i / 4) ** 1.3
        c.rect((0, y, w, y + 0.006 * u), plank)
    rug = own.between("rug", 0.35, 0.65) * w
    c.ellipse(rug, h * 0.9, 0.42 * w, 0.09 * h, mix(p.ground, p.accent, 0.55))
    c.ellipse(rug, h * 0.9, 0.36 * w, 0.07 * h, mix(p.ground, p.accent, 0.35))


def _hall(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    """A bare panelled wall with room for something to hang on it."""
    p, w, h, u = s.palette, c.width, c.height, c.unit
    base = s.horizon * h
    wall = mix(p.far, p.sky, 0.35)
    c.gradient(mix(wall, p.light, 0.18), wall)
    light = own.between("light", 0.2, 0.8) * w
    c.polygon([(light - 0.1 * w, 0), (light + 0.1 * w, 0), (light + 0.34 * w, base), (light - 0.34 * w, base)],
              veil(p.light, 0.28))  # fmt: skip
    panels = mix(p.near, p.far, 0.35)
    c.rect((0, base - 0.16 * h, w, base), panels)
    c.rect((0, base - 0.175 * h, w, base - 0.155 * h), p.light)
    for i in range(-1, 5):
        x = (i + phase % 1) * w / 4
        c.frame((x + 0.02 * w, base - 0.125 * h, x + 0.23 * w, base - 0.03 * h), mix(panels, p.ink, 0.2), 0.008 * u)
    c.rect((0, base, w, h), p.ground)
    for i in range(4):
        for k in range(5):
            if (i + k) % 2:
                top, bottom = base + (h - base) * (i / 4) ** 1.4, base + (h - base) * ((i + 1) / 4) ** 1.4
                c.rect((k * w / 5, top, (k + 1) * w / 5, bottom), mix(p.ground, p.light, 0.1))


def _desk(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    """A wall with a book shelf, and a table top."""
    p, w, h, u = s.palette, c.width, c.height, c.unit
    base = (s.horizon + 0.06) * h
    c.gradient(mix(p.sky, p.light, 0.2), mix(p.sky, p.far, 0.5))
    shelf, left = own.between("shelf", 0.24, 0.32) * h, own.between("shelf.x", 0.04, 0.3) * w
    right = left + 0.62 * w
    x, i = left + 0.03 * w, 0
    books = (p.accent, p.near, p.ink, p.light, p.far, p.ground)
    while x < right - 0.06 * w:
        wide, high = own.between(f"book.{i}.w", 0.025, 0.05) * w, own.between(f"book.{i}.h", 0.1, 0.17) * h
        if own.unit(f"book.{i}.gap") < 0.8:
            c.rect((x, shelf - high, x + wide, shelf), books[int(own.unit(f"book.{i}") * 6)], 2)
            c.rect((x, shelf - high * 0.8, x + wide, shelf - high * 0.7), veil(p.light, 0.5))
        x, i = x + wide + 0.004 * w, i + 1
    c.rect((left, shelf, right, shelf + 0.022 * h), mix(p.ground, p.ink, 0.35), 2)
    c.rect((0, base, w, h), p.ground)
    c.rect((0, base, w, base + 0.02 * h), mix(p.ground, p.light, 0.3))
    mat = own.between("mat", 0.1, 0.3) * w
    c.polygon(
        [(mat, base + 0.1 * h), (mat + 0.55 * w, base + 0.1 * h), (mat + 0.66 * w, h), (mat - 0.1 * w, h)],
        mix(p.ground, p.light, 0.16),
    )
    c.rect((0, h - 0.035 * h, w, h), mix(p.ground, p.ink, 0.3 + 0.1 * phase % 0.1))
    c.disc(0.93 * w, base - 0.05 * u, 0.05 * u, mix(p.near, p.accent, 0.5))
    c.rect((0.93 * w - 0.035 * u, base - 0.05 * u, 0.93 * w + 0.035 * u, base + 0.03 * u), p.ink, 0.015 * u)


def _shore(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    p, w, h, u = s.palette, c.width, c.height, c.unit
    _sky(c, s, own)
    base = (s.horizon - 0.08) * h
    c.rect((0, base, w, h), p.near)
    for i in range(7):
        x, y = own.unit(f"wave.{i}.x") * w, base + own.between(f"wave.{i}.y", 0.03, 0.16) * h
        c.rect((x, y, x + 0.14 * w, y + 0.01 * u), mix(p.near, p.light, 0.4), 0.005 * u)
    c.polygon(_hills(c, base + 0.2 * h, 0.05 * h, phase, 0.8), p.light)
    sand = mix(p.accent, p.light, 0.6)
    c.polygon(_hills(c, base + 0.225 * h, 0.05 * h, phase, 0.8), sand)
    for i in range(8):
        x, y = own.unit(f"pebble.{i}.x") * w, own.between(f"pebble.{i}.y", s.horizon + 0.2, 0.97) * h
        c.ellipse(x, y, 0.012 * u, 0.007 * u, mix(sand, p.ink, 0.25))


def _studio(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    """A photographer's backdrop: big overlapping discs and a plain floor."""
    p, w, h, u = s.palette, c.width, c.height, c.unit
    c.gradient(p.far, mix(p.far, p.sky, 0.6))
    c.disc(own.between("disc.x", 0.2, 0.8) * w, own.between("disc.y", 0.3, 0.5) * h, 0.4 * u, p.sky)
    c.disc(own.between("dot.x", 0.1, 0.9) * w, own.between("dot.y", 0.1, 0.3) * h, 0.1 * u, p.accent)
    for i in range(5):
        x, y = (0.08 + 0.05 * i) * w, 0.09 * h
        c.disc(x, y, 0.009 * u, p.near)
        c.disc(x, y + 0.05 * h, 0.009 * u, p.near)
    c.polygon(_hills(c, (s.horizon + 0.03) * h, 0.05 * h, phase, 0.35), p.near)
    c.polygon(_hills(c, (s.horizon + 0.17) * h, 0.03 * h, phase + 0.3, 0.4), mix(p.near, p.ground, 0.6))


def _park(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    p, w, h, u = s.palette, c.width, c.height, c.unit
    _sky(c, s, own)
    base = s.horizon * h
    c.polygon(_hills(c, base + 0.01 * h, 0.06 * h, phase, 1.1), p.far)
    for i in range(5):
        x = (i + 0.15 + 0.7 * own.unit(f"tree.{i}.x")) / 5 * w
        r, trunk = own.between(f"tree.{i}.r", 0.07, 0.115) * u, base + 0.05 * h
        c.rect((x - 0.012 * u, trunk - 1.6 * r, x + 0.012 * u, trunk), mix(p.ground, p.ink, 0.5))
        if own.flag(f"tree.{i}.kind"):
            c.disc(x, trunk - 1.9 * r, r, p.near)
            c.disc(x - 0.3 * r, trunk - 2.15 * r, 0.5 * r, mix(p.near, p.light, 0.2))
        else:
            for k in range(3):
                y = trunk - r * (0.5 + 0.8 * k)
                c.polygon([(x - r * (1 - 0.2 * k), y), (x + r * (1 - 0.2 * k), y), (x, y - 1.25 * r)], p.near)
    c.polygon(_hills(c, base + 0.06 * h, 0.03 * h, phase + 0.5, 0.6), p.ground)
    bend = own.between("path", 0.25, 0.75) * w
    path = [(bend, base + 0.05 * h), (bend + 0.06 * w, base + 0.05 * h), (0.8 * w, h), (0.25 * w, h)]
    c.polygon(path, mix(p.ground, p.light, 0.45))


def _shop(c: Canvas, s: Setting, own: Dice, phase: float) -> None:
    """A tiled wall under a striped awning, and a counter."""
    p, w, h, u = s.palette, c.width, c.height, c.unit
    base = (s.horizon + 0.05) * h
    c.rect((0, 0, w, base), mix(p.far, p.sky, 0.5))
    joint = mix(p.far, p.sky, 0.2)
    for i in range(1, 7):
        c.rect((0, base * i / 7, w, base * i / 7 + 0.006 * u), joint)
        for k in range(6):
            x = (k + 0.5 * (i % 2)) / 6 * w
            c.rect((x, base * i / 7, x + 0.006 * u, base * (i + 1) / 7), joint)
    deep, count = own.between("awning", 0.13, 0.19) * h, 7
    for i in range(-1, count + 1):
        x, wide = (i + phase % 1) * w / count, w / count
        color = p.accent if i % 2 else p.light
        c.rect((x, 0, x + wide + 1, deep), color)
        c.disc(x + wide / 2, deep, wide / 2, color)
    lamp = own.between("lamp", 0.2, 0.8) * w
    c.line([(lamp, deep), (lamp, deep + 0.1 * h)], p.ink, 0.008 * u)
    c.disc(lamp, deep + 0.12 * h, 0.045 * u, mix(p.accent, p.light, 0.6))
    c.rect((0, base, w, h), p.ground)
    c.rect((0, base, w, base + 0.05 * h), mix(p.ground, p.light, 0.35))
    for i in range(5):
        x = (i + 0.5) / 5 * w
        c.frame((x - 0.08 * w, base + 0.1 * h, x + 0.08 * w, h * 1.1), mix(p.ground, p.ink, 0.22), 0.012 * u, 6)


PLACES: dict[str, Callable[[Canvas, Setting, Dice, float], None]] = {
    "city": _city,
    "desk": _desk,
    "hall": _hall,
    "meadow": _meadow,
    "park": _park,
    "room": _room,
    "shop": _shop,
    "shore": _shore,
    "studio": _studio,
}
"""What is drawn behind the props, by name; all take (canvas, setting, own, phase)."""
