"""Layouts of the spatial relation types: separate places, and one thing set into a context."""

from __future__ import annotations

from PIL import Image

from mirsb_build.images.scenes.backgrounds import PLACES, Setting, ground, setting
from mirsb_build.images.scenes.canvas import Canvas, Color, Dice, arrange, hang, mix, panel, stand
from mirsb_build.images.scenes.scene import Scene, order_marks


def apart(scene: Scene) -> Image.Image:
    """One of several separate places: a card that leaves room on the side where its neighbour would be."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    places = sorted(PLACES, key=lambda place: scene.shared.unit(f"apart.{place}"))
    own_setting = setting(Dice("apart", scene.spec.candidate, scene.spec.index), places[scene.index % len(places)])
    own_setting = Setting(own_setting.place, p, own_setting.horizon, own_setting.mirrored, own_setting.phase)
    back = Canvas(w, h, mix(p.light, p.far, 0.35))
    opens_right = scene.index % 2 == 1
    gap, margin = 0.15 * w, 0.045 * u
    left = margin if opens_right else gap
    wide, high = w - gap - margin, h - 2 * margin - 0.1 * u
    edge = w - gap / 2 if opens_right else gap / 2
    back.dashes([(edge, 0), (edge, h)], mix(p.ink, p.far, 0.4), 0.012 * u, 0.035 * u)
    stub = w - gap * 0.16 if opens_right else -0.5 * w
    back.rect((stub, margin, stub + 0.5 * w + gap * 0.16, margin + high), p.near, 0.05 * u)
    picture = back.image()
    view = ground(own_setting, scene.own, wide, high)
    arrange(view, scene.props, scene.own, own_setting.feet, p.ink)
    panel(picture, view, left, margin, 0.05 * u, p.ink)
    order_marks(picture, left + wide / 2, h - margin * 0.5 - 0.045 * u, 0.062 * u, scene)
    return picture


def inset(scene: Scene) -> Image.Image:
    """Props set into an ordinary context: on a wall, a screen, a notice board or a poster.

    The first prop names the context and stands beside it, those after it are set in; a single prop is set in.
    """
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    kind, place = scene.shared.choose(
        "inset", (("wall", "hall"), ("screen", "desk"), ("board", "hall"), ("poster", "city"), ("screen", "shop"))
    )
    context = setting(scene.shared, place)
    picture = ground(context, scene.own, w, h)
    wide, high = 0.62 * u * scene.own.between("wide", 0.9, 1.08), 0.5 * u * scene.own.between("high", 0.9, 1.08)
    x, y = w * scene.own.between("x", 0.42, 0.58) - wide / 2, h * scene.own.between("y", 0.1, 0.16)
    border = 0.035 * u
    overlay = Canvas(w, h)
    rim = {"wall": mix(p.accent, p.ink, 0.45), "board": mix(p.near, p.ink, 0.35)}.get(kind, p.ink)
    if kind == "screen":
        overlay.rect((x + wide * 0.42, y + high, x + wide * 0.58, y + high + 0.12 * u), mix(p.ink, p.light, 0.3))
        overlay.rect((x + wide * 0.26, y + high + 0.1 * u, x + wide * 0.74, y + high + 0.135 * u), p.ink, 0.02 * u)
    if kind == "poster":
        for side in (0.14, 0.82):
            overlay.rect((x + wide * side, y + high, x + wide * (side + 0.04), h * 0.86), mix(p.ink, p.light, 0.2))
    overlay.rect((x - border, y - border, x + wide + border, y + high + border), rim, 0.02 * u)
    paper = mix(p.light, p.far, scene.own.between("paper", 0.1, 0.4))
    cork: Color = mix((214, 167, 116), p.light, 0.2)
    overlay.rect((x, y, x + wide, y + high), cork if kind == "board" else paper, 0.008 * u)
    if kind == "board":
        overlay.rect((x + 0.16 * wide, y + 0.07 * high, x + 0.84 * wide, y + 0.93 * high), paper)
        for side, shade in ((0.035, p.accent), (0.87, p.near)):
            overlay.rect((x + side * wide, y + 0.14 * high, x + (side + 0.1) * wide, y + 0.42 * high), shade)
            overlay.disc(x + (side + 0.05) * wide, y + 0.14 * high, 0.011 * u, p.ink)
    else:
        halo = x + wide * scene.own.between("halo", 0.35, 0.65)
        overlay.disc(halo, y + high * 0.5, 0.4 * high, mix(paper, p.near, 0.35))
    overlay.onto(picture)
    inside = scene.props[1:3] or scene.props[:1]
    for i, prop in enumerate(inside, 1):
        hang(picture, prop, x + wide * i / (len(inside) + 1), y + high / 2, (0.86 if len(inside) == 1 else 0.62) * high)
    if kind == "board":
        pin = Canvas(0.05 * u, 0.05 * u)
        pin.disc(pin.width / 2, pin.height / 2, 0.02 * u, p.accent)
        pin.onto(picture, x + wide / 2 - pin.width / 2, y + 0.06 * high - pin.height / 2)
    if len(scene.props) > 1:
        stand(picture, scene.props[0], w * (0.16 if scene.own.flag("side") else 0.84), 0.95 * h, 0.3 * u, p.ink)
    return picture
