"""Draw lines on two logarithmic axes as SVG, without a library.

`scale.py` calls it. A straight line at 45 degrees is linear growth.
"""

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 40, 50
# Distinct for people with the usual kinds of colour blindness (Okabe and Ito).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
FONT = 'font-family="sans-serif" font-size="12" fill="#222"'


class Axis:
    """A logarithmic axis that covers whole decades."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        """Place the smallest decade at pixel `begin` and the largest at `end`."""
        positive = [value for value in values if value > 0]
        self._low, self._high = floor(log10(min(positive))), ceil(log10(max(positive)))
        self._high = max(self._high, self._low + 1)
        self._begin, self._end = begin, end

    def decades(self) -> list[float]:
        """Return the values of the grid lines."""
        return [10.0**exponent for exponent in range(self._low, self._high + 1)]

    def at(self, value: float) -> float:
        """Return the pixel of a value; what is not positive lies at the beginning."""
        exponent = log10(value) if value > 0 else self._low
        share = (exponent - self._low) / (self._high - self._low)
        return self._begin + share * (self._end - self._begin)


def chart(
    title: str, x_title: str, x: Sequence[float], lines: Mapping[str, Sequence[float]]
) -> str:
    """Return an SVG document with one line for each entry of `lines`."""
    across = Axis(x, LEFT, WIDTH - RIGHT)
    upward = Axis([value for values in lines.values() for value in values], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 20, title, 'font-weight="bold"'),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, x_title, 'text-anchor="middle"'),
        *_grid(across, upward),
    ]
    # The names stand beside the ends of the lines, in their order, at least a line apart.
    lowest = TOP - 16.0
    for colour, (name, values) in zip(
        COLOURS, sorted(lines.items(), key=lambda line: -line[1][-1]), strict=False
    ):
        points = [(across.at(a), upward.at(b)) for a, b in zip(x, values, strict=True)]
        lowest = max(points[-1][1], lowest + 16)
        parts += _line(name, colour, points, lowest)
    return "\n".join([*parts, "</svg>", ""])


def _grid(across: Axis, upward: Axis) -> list[str]:
    parts = []
    for value in across.decades():
        place = across.at(value)
        parts += [
            f'<path d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>',
            _text(place, HEIGHT - BOTTOM + 18, f"{value:,g}", 'text-anchor="middle"'),
        ]
    for value in upward.decades():
        place = upward.at(value)
        parts += [
            f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
            _text(LEFT - 8, place + 4, f"{value:,g}", 'text-anchor="end"'),
        ]
    return parts


def _line(
    name: str, colour: str, points: Sequence[tuple[float, float]], name_at: float
) -> list[str]:
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = (f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>' for a, b in points)
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
        *dots,
        f'<circle cx="{points[-1][0] + 14:.1f}" cy="{name_at:.1f}" r="4" fill="{colour}"/>',
        _text(points[-1][0] + 22, name_at + 4, name),
    ]


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {FONT} {attributes}>{escape(text)}</text>'
