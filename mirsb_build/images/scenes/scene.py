"""What a layout works with: a scene, its cast of props, and the marks that say which picture of how many it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from PIL import Image

from mirsb_build.images.scenes.backgrounds import Setting, ground, setting
from mirsb_build.images.scenes.canvas import Canvas, Dice, Palette, Prop, arrange, mix
from mirsb_build.records import ImageSpec


@dataclass(frozen=True)
class Cast:
    """The props of one picture, the most telling first, and those of each picture of its candidate."""

    props: tuple[Prop, ...]
    group: tuple[tuple[Prop, ...], ...] = ()


@dataclass(frozen=True)
class Shape:
    """A neutral stand-in where no drawing is found: a ball, a cube or a cone."""

    kind: str
    palette: Palette

    def raster(self, size: int) -> Image.Image:
        p, s = self.palette, float(size)
        c = Canvas(s, s)
        if self.kind == "ball":
            c.disc(s / 2, s / 2, s * 0.44, p.ink)
            c.disc(s / 2, s / 2, s * 0.41, p.accent)
            c.disc(s * 0.42, s * 0.38, s * 0.16, mix(p.accent, p.light, 0.45))
        elif self.kind == "cube":
            c.rect((s * 0.1, s * 0.1, s * 0.9, s * 0.9), p.ink, s * 0.06)
            c.rect((s * 0.13, s * 0.13, s * 0.87, s * 0.87), p.accent, s * 0.04)
            c.rect((s * 0.13, s * 0.13, s * 0.87, s * 0.36), mix(p.accent, p.light, 0.4), s * 0.04)
        else:
            c.polygon([(s * 0.5, s * 0.06), (s * 0.94, s * 0.92), (s * 0.06, s * 0.92)], p.ink)
            c.polygon([(s * 0.5, s * 0.13), (s * 0.89, s * 0.89), (s * 0.11, s * 0.89)], p.accent)
            c.polygon([(s * 0.5, s * 0.13), (s * 0.5, s * 0.89), (s * 0.11, s * 0.89)], mix(p.accent, p.light, 0.4))
        image = c.image()
        return image.crop(image.getbbox())


@dataclass(frozen=True)
class Scene:
    """What a layout works with."""

    spec: ImageSpec
    cast: Cast
    width: int
    height: int

    @cached_property
    def shared(self) -> Dice:
        """Choices shared by all pictures of the candidate."""
        return Dice("anchor", self.spec.candidate)

    @cached_property
    def own(self) -> Dice:
        """Choices of this picture alone."""
        return Dice("own", self.spec.identity())

    @cached_property
    def setting(self) -> Setting:
        return setting(self.shared)

    @property
    def palette(self) -> Palette:
        return self.setting.palette

    @property
    def unit(self) -> int:
        return min(self.width, self.height)

    @property
    def index(self) -> int:
        """Place among `count` pictures, from 1; an index beyond the count is the last."""
        return min(self.spec.index, self.spec.count)

    @property
    def progress(self) -> float:
        """0 for the first picture, 1 for the last."""
        return (self.index - 1) / max(1, self.spec.count - 1)

    @property
    def props(self) -> tuple[Prop, ...]:
        return self.cast.props or (self.stand_in(self.own),)

    def stand_in(self, dice: Dice) -> Shape:
        return Shape(dice.choose("shape", ("ball", "cube", "cone")), self.palette)


def order_marks(picture: Image.Image, x: float, y: float, size: float, scene: Scene) -> None:
    """A pill with one dot a picture; those up to this one are filled, this one is larger."""
    p, n = scene.palette, scene.spec.count
    step = min(size, scene.width * 0.9 / (n + 0.4))
    pill = Canvas(step * (n + 0.4), step * 1.2)
    pill.rect((0, 0, pill.width, pill.height), p.ink, pill.height)
    for i in range(n):
        at = step * (i + 0.7)
        if i + 1 == scene.index:
            pill.disc(at, pill.height / 2, step * 0.36, p.accent)
        elif i < scene.index:
            pill.disc(at, pill.height / 2, step * 0.22, p.light)
        else:
            pill.ring(at, pill.height / 2, step * 0.22, mix(p.ink, p.light, 0.6), step * 0.07)
    pill.onto(picture, x - pill.width / 2, y - pill.height / 2)


def plain(scene: Scene) -> Image.Image:
    """Things on a ground, without any mark."""
    picture = ground(scene.setting, scene.own, scene.width, scene.height)
    arrange(picture, scene.props, scene.own, scene.setting.feet, scene.palette.ink)
    return picture
