"""Layouts of the temporal relation types: a frame of a film, a moment of the day."""

from __future__ import annotations

import math

from PIL import Image

from mirsb_build.images.scenes.backgrounds import ground
from mirsb_build.images.scenes.canvas import Canvas, Color, arrange, mix
from mirsb_build.images.scenes.scene import Scene, order_marks, plain


def sequence(scene: Scene) -> Image.Image:
    """A frame of a film: one ground for all pictures, seen a step further on in each."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    rail = round(0.085 * u)
    frame_high = h - 2 * rail
    wide = ground(scene.setting, scene.shared, 1.6 * w, frame_high)
    start = round(scene.progress * (wide.width - w))
    view = wide.crop((start, 0, start + w, frame_high))
    arrange(view, scene.props, scene.own, scene.setting.feet, p.ink)
    strip = Canvas(w, h, p.ink)
    holes = max(4, round(w / (1.6 * rail)))
    for i in range(holes):
        x = (i + 0.5) * w / holes
        for y in (rail / 2, h - rail / 2):
            if y > rail and abs(x - w / 2) < rail * 0.5 * (scene.spec.count + 1.2):
                continue  # the order marks go here
            strip.rect((x - rail * 0.28, y - rail * 0.2, x + rail * 0.28, y + rail * 0.2), p.light, rail * 0.12)
    picture = strip.image()
    picture.paste(view, (0, rail))
    order_marks(picture, w / 2, h - rail * 0.5, rail * 0.8, scene)
    return picture


def jump(scene: Scene) -> Image.Image:
    """A moment between morning and evening: light, a sun on its arc and a clock tell which."""
    p, w, u = scene.palette, scene.width, scene.unit
    picture = plain(scene)
    t = scene.progress
    tint: Color = mix((255, 226, 160), (38, 30, 84), t)
    picture = Image.blend(picture, Image.new("RGB", picture.size, tint), 0.10 + 0.34 * t)
    bar = Canvas(w, 0.2 * u)
    top, bottom, left, right = 0.03 * u, 0.17 * u, 0.04 * w, w - 0.22 * u
    bar.rect((left, top, right, bottom), p.light, 0.07 * u)
    y = (top + bottom) / 2
    arc = [
        (left + 0.08 * u + (right - left - 0.16 * u) * k / 24, y + 0.03 * u - 0.06 * u * math.sin(math.pi * k / 24))
        for k in range(25)
    ]
    bar.dashes(arc, mix(p.light, p.ink, 0.45), 0.007 * u, 0.018 * u)
    sun = arc[round(24 * t)]
    bar.disc(*sun, 0.042 * u, mix((255, 190, 60), (226, 88, 62), t))
    bar.rect((left + 0.04 * u, y + 0.036 * u, right - 0.04 * u, y + 0.046 * u), mix(p.light, p.ink, 0.75))
    x = w - 0.11 * u
    bar.disc(x, y, 0.085 * u, p.ink)
    bar.disc(x, y, 0.072 * u, p.light)
    hour = 2 * math.pi * (7 + 13 * t) / 12
    bar.line([(x, y), (x + 0.038 * u * math.sin(hour), y - 0.038 * u * math.cos(hour))], p.ink, 0.014 * u)
    bar.line([(x, y), (x, y - 0.055 * u)], p.accent, 0.01 * u)
    bar.onto(picture)
    return picture
