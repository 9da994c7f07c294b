"""Layouts of the logical relation types: two domains, a cause and its effect, a part of a whole."""

from __future__ import annotations

from PIL import Image

from mirsb_build.images.scenes.backgrounds import ground, setting
from mirsb_build.images.scenes.canvas import Canvas, arrange, hang, mix, panel, stand
from mirsb_build.images.scenes.scene import Scene, order_marks


def bridge(scene: Scene) -> Image.Image:
    """Two domains side by side with an arrow between them; this picture's is the wide one."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    back = mix(p.ink, p.near, 0.25) if scene.shared.flag("bridge") else mix(p.light, p.far, 0.4)
    picture = Image.new("RGB", (w, h), back)
    margin, gap = 0.04 * u, 0.03 * w
    wide, high = (
        w * (scene.shared.between("wide", 0.55, 0.64) + scene.own.between("wide", -0.04, 0.04)),
        h - 2 * margin - 0.1 * u,
    )
    narrow = w - wide - 2 * margin - gap
    leads = scene.index % 2 == 1
    left, other = (margin, margin + wide + gap) if leads else (margin + narrow + gap, margin)
    view = ground(scene.setting, scene.own, wide, high)
    arrange(view, scene.props[:2], scene.own, scene.setting.feet, p.ink)
    panel(picture, view, left, margin, 0.045 * u, p.ink)
    shade = scene.own.choose("shade", (p.accent, p.near, p.ground))
    image = ground(setting(scene.own), scene.own, narrow, high)
    image = Image.blend(image, Image.new("RGB", image.size, shade), scene.own.between("blend", 0.4, 0.75))
    spot = high * scene.own.between("spot", 0.55, 0.68)
    if len(scene.props) > 2:
        hang(image, scene.props[2], narrow / 2, spot, 0.8 * narrow)
    else:
        blank = Canvas(narrow, narrow)
        blank.disc(narrow / 2, narrow / 2, 0.36 * narrow, mix(shade, p.light, 0.45))
        blank.dashed_ring(narrow / 2, narrow / 2, 0.41 * narrow, p.light, 0.014 * u, 18)
        blank.onto(image, 0, spot - narrow / 2)
    panel(picture, image, other, margin, 0.045 * u, p.ink)
    badge = Canvas(0.24 * u, 0.24 * u)
    middle = badge.width / 2
    badge.disc(middle, middle, 0.115 * u, p.light)
    badge.disc(middle, middle, 0.098 * u, p.ink)
    badge.arrow((middle - 0.06 * u, middle), (middle + 0.068 * u, middle), p.light, 0.032 * u)
    seam = margin + (wide if leads else narrow) + gap / 2
    badge.onto(picture, seam - middle, margin + high * scene.own.between("badge", 0.14, 0.5) - middle)
    order_marks(picture, w / 2, h - margin * 0.5 - 0.045 * u, 0.062 * u, scene)
    return picture


def cause(scene: Scene) -> Image.Image:
    """A link of a chain: an arrow comes in where something causes it, and goes out where it causes something."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    picture = ground(scene.setting, scene.own, w, h)
    comes, goes = scene.index > 1, scene.index < scene.spec.count
    if scene.spec.count == 1:
        comes = goes = True
    x = w * (0.5 + 0.07 * (comes - goes))
    radius = u * scene.shared.between("radius", 0.3, 0.37)
    plate = Canvas(2 * radius, 2 * radius)
    tone = mix(p.light, p.near if scene.shared.flag("tone") else p.far, scene.own.between("tone", 0.2, 0.75))
    # A round or a square plate.
    for inner, color in ((0.0, p.light), (0.025 * u, tone)):
        corner = radius if scene.shared.flag("round") else 0.08 * u
        plate.rect((inner, inner, 2 * radius - inner, 2 * radius - inner), color, corner - inner)
    y = h * (scene.shared.between("plate", 0.4, 0.5) + scene.own.between("y", -0.03, 0.03))
    plate.onto(picture, x - radius, y - radius)
    hang(picture, scene.props[0], x, y, 1.4 * radius * scene.own.between("size", 0.92, 1.08))
    arrows = Canvas(w, 0.2 * u)
    band = arrows.height / 2
    for shown, start, end in ((comes, -0.05 * w, x - 0.26 * u), (goes, x + 0.28 * u, w - 0.02 * u)):
        if shown:
            arrows.arrow((start - 0.012 * u, band), (end + 0.022 * u, band), p.light, 0.085 * u)
            arrows.arrow((start, band), (end, band), p.accent, 0.058 * u)
    arrows.onto(picture, 0, y - band)
    for i, prop in enumerate(scene.props[1:3]):
        stand(picture, prop, w * (0.17 if i else 0.83), 0.955 * h, 0.27 * u, p.ink)
    return picture


def part(scene: Scene) -> Image.Image:
    """One part in an exploded drawing: its dashed outline, and its place in the row of all parts."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    a, own, n = scene.shared, scene.own, scene.spec.count
    dark = a.flag("blueprint")
    paper, pen = (mix(p.ink, p.near, 0.3), p.light) if dark else (p.light, p.ink)
    back = Canvas(w, h, paper)
    grid = mix(paper, pen, 0.1)
    cells = a.choose("grid", (8, 10, 12))
    for i in range(1, cells * 2):
        at = i * u / cells
        back.rect((at, 0, at + 0.004 * u, h), grid)
        back.rect((0, at, w, at + 0.004 * u), grid)
    below = a.flag("below")
    step = min(0.2 * u, 0.9 * w / n)
    row = h - 0.13 * u if below else 0.13 * u
    x = w * (a.between("x", 0.42, 0.58) + own.between("x", -0.04, 0.04))
    y = (h - 0.24 * u) * own.between("y", 0.47, 0.53) + (0 if below else 0.24 * u)
    radius = u * a.between("radius", 0.27, 0.33)
    slot = w / 2 + (scene.index - (n + 1) / 2) * step
    fill = mix(paper, p.near, own.between("fill", 0.3, 0.9))
    back.dashes([(x, y), (slot, row)], pen, 0.008 * u, 0.02 * u)
    if own.flag("form"):
        back.disc(x, y, radius, fill)
        back.dashed_ring(x, y, radius + 0.03 * u, pen, 0.011 * u, 30)
    else:
        r = radius * 0.92
        back.rect((x - r, y - r, x + r, y + r), fill, 0.05 * u)
        d = r + 0.03 * u
        back.dashes(
            [(x - d, y - d), (x + d, y - d), (x + d, y + d), (x - d, y + d), (x - d, y - d)], pen, 0.011 * u, 0.03 * u
        )
    for i in range(1, n + 1):
        at = w / 2 + (i - (n + 1) / 2) * step
        r = step * 0.38
        if i == scene.index:
            back.rect((at - r, row - r, at + r, row + r), p.accent, 0.02 * u)
            back.disc(at, row, r * 0.4, p.light)
        else:
            back.rect((at - r, row - r, at + r, row + r), paper, 0.02 * u)
            back.frame((at - r, row - r, at + r, row + r), mix(paper, pen, 0.6), 0.009 * u, 0.02 * u)
    picture = back.image()
    hang(picture, scene.props[0], x, y, 1.6 * radius * own.between("size", 0.9, 1.06))
    for i, prop in enumerate(scene.props[1:3]):
        note = Canvas(0.25 * u, 0.25 * u)
        note.disc(0.125 * u, 0.125 * u, 0.12 * u, pen)
        note.disc(0.125 * u, 0.125 * u, 0.108 * u, paper)
        at = x + (0.82 if i == 0 else -0.82) * radius, y + 0.75 * radius * own.choose("corner", (1, -1))
        note.onto(picture, at[0] - 0.125 * u, at[1] - 0.125 * u)
        hang(picture, prop, *at, 0.19 * u)
    return picture
