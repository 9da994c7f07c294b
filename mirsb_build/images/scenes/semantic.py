"""Layouts of the semantic relation types: a card of a catalogue, a piece of a jigsaw."""

from __future__ import annotations

from PIL import Image, ImageFilter

from mirsb_build.images.scenes.backgrounds import ground
from mirsb_build.images.scenes.canvas import Box, Canvas, hang, mix, panel, shadow, stand
from mirsb_build.images.scenes.scene import Scene, order_marks


def card(scene: Scene) -> Image.Image:
    """A card of a catalogue: one item on a plain field, with lines and bars where text would be."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    a = scene.shared
    color = a.choose("card.back", (p.far, p.near, p.ground))
    back = Canvas(w, h, color)
    lean, first = a.choose("card.lean", (-0.5, 0.0, 0.5)), a.unit("card.stripe")
    for i in range(-6, 14):
        x = (i + first) * w / 7
        back.polygon(
            [(x, 0), (x + w / 16, 0), (x + w / 16 + h * lean, h), (x + h * lean, h)], mix(color, p.light, 0.14)
        )
    picture = back.image()
    wide, high = w * a.between("card.wide", 0.72, 0.86), h * a.between("card.high", 0.8, 0.9)
    sheet = Canvas(wide, high, p.light)
    # The item above and its lines below, or the other way round.
    field_top, lines_top = a.choose("card.order", ((0.14, 0.76), (0.36, 0.13)))
    field = (0.07 * wide, field_top * high, 0.93 * wide, (field_top + 0.57) * high)
    sheet.rect((0, 0, wide, 0.08 * high), p.accent)
    sheet.disc(wide / 2, 0.04 * high, 0.018 * u, color)
    _card_field(sheet, scene, field)
    _card_lines(sheet, scene, lines_top * high)
    view = sheet.image()
    size = min(0.55 * high, 0.8 * wide) * scene.own.between("size", 0.84, 1.0)
    x = wide * (0.5 + scene.own.between("x", -0.13, 0.13))
    hang(view, scene.props[0], x, (field[1] + field[3]) / 2, size)
    panel(picture, view, (w - wide) / 2, (h - high) / 2 - 0.01 * h, 0.04 * u, p.ink)
    return picture


def _card_field(sheet: Canvas, scene: Scene, field: Box) -> None:
    """The field behind the item, divided by a disc, a block, a floor or a slope."""
    p, own, u = scene.palette, scene.own, sheet.unit
    left, top, right, bottom = field
    wide, high = right - left, bottom - top
    base = mix(p.far, p.light, own.between("base", 0.0, 0.7))
    figure = mix(p.near, p.ground, own.between("figure", 0.0, 0.7))
    if own.flag("swap"):
        base, figure = figure, base
    sheet.rect(field, base)
    match own.choose("figure", ("disc", "block", "floor", "slope")):
        case "disc":
            radius = min(0.46 * high, 0.38 * wide)
            sheet.disc(left + wide * own.between("disc", 0.4, 0.6), top + high / 2, radius, figure)
        case "block":
            start = left + wide * own.between("block", 0.0, 0.55)
            sheet.rect((start, top, start + 0.45 * wide, bottom), figure)
        case "floor":
            sheet.rect((left, top + high * own.between("floor", 0.4, 0.75), right, bottom), figure)
        case _:
            low, up = (own.between(f"slope.{side}", 0.1, 0.9) * high + top for side in ("left", "right"))
            sheet.polygon([(left, low), (right, up), (right, bottom), (left, bottom)], figure)
    sheet.frame(field, mix(p.light, p.ink, 0.3), 0.006 * u)


def _card_lines(sheet: Canvas, scene: Scene, top: float) -> None:
    """Lines for text, bars for a code, and one dot a card with this one's filled."""
    p, own, wide, high = scene.palette, scene.own, sheet.width, sheet.height
    for i in range(3):
        length, y = own.between(f"line.{i}", 0.3, 0.52), top + 0.055 * i * high
        color = mix(p.light, p.ink, 0.28) if i else p.ink
        sheet.rect((0.07 * wide, y, (0.07 + length) * wide, y + 0.024 * high), color, 9)
    x = 0.68 * wide
    for i in range(14):
        bar = own.choose(f"bar.{i}", (0.004, 0.008, 0.013)) * wide
        sheet.rect((x, top, x + bar, top + 0.135 * high), p.ink)
        x += bar + 0.009 * wide
    for i in range(scene.spec.count):
        color = p.accent if i + 1 == scene.index else mix(p.light, p.ink, 0.18)
        sheet.disc((0.09 + 0.05 * i) * wide, top + 0.175 * high, 0.016 * sheet.unit, color)


def piece_size(scene: Scene) -> tuple[int, int]:
    """Width and height of one piece without its knobs, in pixels."""
    return round(0.6 * scene.width), round(0.66 * scene.height)


def piece_corner(scene: Scene) -> tuple[int, int]:
    """Where on its picture a piece lies: left and top of its body."""
    wide, high = piece_size(scene)
    left = (scene.width - wide) // 2 + round(scene.own.between("x", -0.04, 0.04) * scene.width)
    return left, round((scene.height - high) * (0.36 + scene.own.between("y", -0.12, 0.12)))


def knob_room(scene: Scene) -> int:
    """How far a knob may reach over the edge of a piece, in pixels."""
    return round(0.13 * min(piece_size(scene)))


def whole(scene: Scene) -> Image.Image:
    """The picture that the pieces of a candidate make together; the same for each of them."""
    wide, high = piece_size(scene)
    count = scene.spec.count
    casts = scene.cast.group or (scene.props,)
    picture = ground(scene.setting, scene.shared, wide * count, high)
    feet, ink = min(0.93, scene.setting.feet) * high, scene.palette.ink
    room = wide * count / len(casts)
    for i, cast in enumerate(casts):
        # Off the middle of its piece, towards a neighbour, so that a seam cuts most of them.
        side = 1 if i == 0 or (i + 1 < len(casts) and scene.shared.flag(f"whole.{i}")) else -1
        main, *others = cast or (scene.stand_in(scene.shared),)
        for prop in others[:1]:
            stand(picture, prop, room * (i + 0.5 - 0.3 * side), feet - 0.03 * high, 0.4 * min(high, room), ink)
        stand(picture, main, room * (i + 0.5 + 0.2 * side), feet, min(0.72 * high, 0.9 * room), ink)
    return picture


def _knob(scene: Scene, seam: int, left: float, radius: float, high: int) -> tuple[Box, bool]:
    """Box of the round knob at the right edge (x = `left`) of piece `seam`, and whether that piece has it."""
    y = high * scene.shared.between(f"seam.{seam}", 0.36, 0.64)
    to_right = scene.shared.flag(f"seam.{seam}.side")
    x = left + (0.62 * radius if to_right else -0.62 * radius)
    return (x - radius, y - radius, x + radius, y + radius), to_right


def piece_mask(scene: Scene, index: int, knob: int) -> Image.Image:
    """Where piece `index` (from 1) lies on its own cell, widened by `knob` pixels to both sides."""
    wide, high = piece_size(scene)
    mask = Canvas(wide + 2 * knob, high)
    on, off = (255, 255, 255, 255), (0, 0, 0, 0)
    mask.rect((knob, 0, knob + wide, high), on)
    radius = knob / 1.65
    for seam, left in ((index - 1, knob), (index, knob + wide)):
        if 0 < seam < scene.spec.count:
            box, to_right = _knob(scene, seam, left, radius, high)
            mine = to_right == (seam == index)
            mask.ellipse((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, radius, radius, on if mine else off)
    return mask.image().getchannel("A")


def pieces(scene: Scene) -> Image.Image:
    """One jigsaw piece of a whole that is made of all the pictures' props."""
    p, w, h, u = scene.palette, scene.width, scene.height, scene.unit
    wide, high = piece_size(scene)
    knob = knob_room(scene)
    back = Canvas(w, h, mix(p.near, p.ink, 0.15) if scene.shared.flag("table") else mix(p.far, p.light, 0.5))
    for i in range(1, 5):
        y = h * i / 5 + scene.own.between(f"table.{i}", -0.03, 0.03) * h
        back.rect((0, y, w, y + 0.008 * u), mix(p.far, p.ink, 0.25))
    picture = back.image()
    left, top = piece_corner(scene)
    mask = piece_mask(scene, scene.index, knob)
    start = (scene.index - 1) * wide - knob
    cut = whole(scene).crop((start, 0, start + mask.width, high))
    rim = max(2, round(0.012 * u))
    edge = Image.new("L", (mask.width + 4 * rim, mask.height + 4 * rim))
    edge.paste(mask, (2 * rim, 2 * rim))
    edge = edge.filter(ImageFilter.GaussianBlur(rim / 1.5)).point([min(255, v * 6) for v in range(256)])
    shadow(picture, (left - 0.08 * w, top + 0.72 * high, left + wide + 0.08 * w, top + high + 0.1 * h), p.ink, 0.55)
    picture.paste(p.light, (left - knob - 2 * rim, top - 2 * rim), edge)
    picture.paste(cut, (left - knob, top), mask)
    order_marks(picture, w / 2, h - 0.07 * u, 0.075 * u, scene)
    return picture
