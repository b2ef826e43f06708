"""Plots as inline SVG: curves and bars that need no script, no font and no file beside the page."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

import numpy as np

from services.risk.table import Floats

_WIDTH, _HEIGHT = 460, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 14, 44
Point = tuple[float, float]


class Plot:
    """A frame with two axes from 0 to at least what is given, five round steps each, and marks in it."""

    def __init__(self, x_name: str, y_name: str, *, x_max: float = 1.0, y_max: float = 1.0) -> None:
        self._x_max, self._y_max = round_max(x_max), round_max(y_max)
        self._parts = [*self._grid(), *self._names(x_name, y_name)]
        self._legend: list[tuple[str, str]] = []

    def x(self, value: float) -> float:
        """Place of a value on the horizontal axis."""
        return round(_LEFT + value / self._x_max * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        """Place of a value on the vertical axis."""
        return round(_HEIGHT - _BOTTOM - value / self._y_max * (_HEIGHT - _TOP - _BOTTOM), 1)

    def line(self, points: Sequence[Point], class_: str, name: str = "") -> None:
        """A line through points; with a name it is in the legend."""
        path = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        self._parts.append(f'<polyline class="{class_}" points="{path}"/>')
        if name:
            self._legend.append((class_, name))

    def dots(self, points: Sequence[Point], class_: str, titles: Sequence[str]) -> None:
        """Dots that tell their figures when pointed at."""
        for (x, y), title in zip(points, titles, strict=True):
            told = f"<title>{escape(title)}</title>"
            self._parts.append(f'<circle class="{class_}" cx="{self.x(x)}" cy="{self.y(y)}" r="4">{told}</circle>')

    def bar(self, low: float, high: float, height: float, class_: str, title: str) -> None:
        """A bar between two values of the horizontal axis."""
        width = max(self.x(high) - self.x(low) - 1, 0.5)
        place = f'x="{self.x(low)}" y="{self.y(height)}" width="{width:.1f}" height="{self.y(0) - self.y(height):.1f}"'
        self._parts.append(f'<rect class="{class_}" {place}><title>{escape(title)}</title></rect>')

    def explain(self, class_: str, name: str) -> None:
        """Put marks of a class into the legend."""
        self._legend.append((class_, name))

    def svg(self, label: str, *, legend_at: float = 1.0) -> str:
        """The whole picture; `label` says what it shows to those who cannot see it. legend_at: height, 1 = the top."""
        for i, (class_, name) in enumerate(self._legend):
            y = self.y(legend_at * self._y_max) + 16 + 18 * i
            self._parts.append(
                f'<line class="{class_}" x1="{_WIDTH - 210}" x2="{_WIDTH - 186}" y1="{y - 4}" y2="{y - 4}"/>'
            )
            self._parts.append(f'<text x="{_WIDTH - 180}" y="{y}">{escape(name)}</text>')
        head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        return head + "".join(self._parts) + "</svg>"

    def _grid(self) -> list[str]:
        parts = []
        for i in range(6):
            x, y = self.x(self._x_max * i / 5), self.y(self._y_max * i / 5)
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP}" y2="{self.y(0)}"/>')
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
            parts.append(f'<text x="{x}" y="{self.y(0) + 16}" text-anchor="middle">{_tick(self._x_max * i / 5)}</text>')
            parts.append(f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">{_tick(self._y_max * i / 5)}</text>')
        return parts

    def _names(self, x_name: str, y_name: str) -> list[str]:
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        return [
            f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(x_name)}</text>',
            f'<text transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">{escape(y_name)}</text>',
        ]


def round_max(value: float) -> float:
    """The least of 1, 2, 2.5, 4, 5, 10 × a power of ten that is at least the value; five steps of it are round."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 10) if step * power >= value * (1 - 1e-9))


def curve(x: Floats, y: Floats, points_max: int = 300) -> list[Point]:
    """Points of a curve, thinned."""
    places = np.unique(np.linspace(0, len(x) - 1, min(points_max, len(x))).astype(int))
    return [(float(x[i]), float(y[i])) for i in places]


def bar_of_share(share: float, class_: str) -> str:
    """A small bar for a cell of a table."""
    width = max(0.0, min(share, 1.0)) * 100
    return f'<span class="bar"><span class="{class_}" style="width:{width:.1f}%"></span></span>'


def _tick(value: float) -> str:
    return f"{value:.3g}"
