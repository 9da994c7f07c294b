"""Log-log plots as SVG, drawn by hand so that no plotting library is needed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT, EDGE = 640, 400, 70
COLOURS = ("#1f6feb", "#d1500f", "#2da44e")


@dataclass(frozen=True)
class Line:
    """Measured points, y by x, and the power of x that fits them best."""

    name: str
    points: Mapping[int, float]

    @property
    def power(self) -> float:
        return self._fit()[0]

    def fitted(self, x: float) -> float:
        power, offset = self._fit()
        return math.exp(offset + power * math.log(x))

    def _fit(self) -> tuple[float, float]:
        power, offset = np.polyfit(np.log(list(self.points)), np.log(list(self.points.values())), 1)
        return float(power), float(offset)


def log_log(lines: Sequence[Line], x_name: str, y_name: str) -> str:
    """An SVG of all lines: points as measured, the fitted power as a straight line."""
    xs = [x for line in lines for x in line.points]
    ys = [y for line in lines for y in line.points.values()]
    across = _Axis(min(xs), max(xs), EDGE, WIDTH - EDGE / 2)
    up = _Axis(min(ys), max(ys), HEIGHT - EDGE, EDGE / 2)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#333">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for value in across.ticks():
        at = across.at(value)
        parts.append(f'<path d="M{at:.1f} {EDGE / 2} V{HEIGHT - EDGE}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{HEIGHT - EDGE + 18}" text-anchor="middle">{value:,.0f}</text>')
    for value in up.ticks():
        at = up.at(value)
        parts.append(f'<path d="M{EDGE} {at:.1f} H{WIDTH - EDGE / 2}" stroke="#ddd"/>')
        parts.append(f'<text x="{EDGE - 8}" y="{at + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 20}" text-anchor="middle">{x_name}</text>')
    parts.append(f'<text transform="translate(18 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{y_name}</text>')
    for number, (line, colour) in enumerate(zip(lines, COLOURS, strict=False)):
        parts += _drawn(line, colour, across, up)
        label = f"{line.name}: grows with {x_name} to the power {line.power:.2f}"
        parts.append(f'<text x="{EDGE + 14}" y="{EDGE / 2 + 20 + 18 * number}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """Whole powers of ten around the values, from one pixel to another."""

    def __init__(self, least: float, most: float, start: float, end: float) -> None:
        self._low, self._high = math.floor(math.log10(least)), math.ceil(math.log10(most))
        self._start, self._end = start, end

    def at(self, value: float) -> float:
        share = (math.log10(value) - self._low) / max(1, self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _drawn(line: Line, colour: str, across: _Axis, up: _Axis) -> Iterator[str]:
    first, last = min(line.points), max(line.points)
    ends = " L".join(f"{across.at(x):.1f} {up.at(line.fitted(x)):.1f}" for x in (first, last))
    yield f'<path d="M{ends}" stroke="{colour}" stroke-dasharray="5 4"/>'
    for x, y in line.points.items():
        yield f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="4" fill="{colour}"/>'
