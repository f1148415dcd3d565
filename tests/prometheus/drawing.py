"""Draw a Grafana dashboard as an SVG, from the answers to its queries.

`picture.py` calls `draw`. It supports only the kinds of panels that the dashboard has.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import Any

# The result of a range query of Prometheus: labels, and values by time.
Answer = list[dict[str, Any]]
Points = list[tuple[float, float]]

COLORS = (
    "#73bf69",
    "#f2cc0c",
    "#8ab8ff",
    "#ff780a",
    "#f2495c",
    "#5794f2",
    "#b877d9",
    "#705da0",
    "#37872d",
    "#fade2a",
)
NAMED = {"green": "#73bf69", "red": "#f2495c", "orange": "#ff9830", "text": "#d8d9da"}
ROW_HEIGHT = 24  # pixels of one unit of the grid
UNITS: dict[str, Sequence[tuple[float, str]]] = {
    "s": ((86400, " d"), (60, " min"), (1, " s"), (0.001, " ms")),
    "bytes": ((1 << 20, " MiB"), (1 << 10, " KiB"), (1, " B")),
    "ops": ((1, "/s"),),
    "reqps": ((1, "/s"),),
    "none": ((1, ""),),
}


def draw(dashboard: dict[str, Any], ask: Callable[[str], Answer], width: int) -> str:
    """Return an HTML page with one SVG.

    Args:
        dashboard: the JSON document of the dashboard.
        ask: returns the result of a query.
        width: pixels.
    """
    panels = dashboard["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) * ROW_HEIGHT + 8
    parts = [_panel(panel, ask, width / 24) for panel in panels]
    style = (
        "text{font-family:DejaVu Sans,sans-serif;font-size:9px;fill:#9fa7b3} "
        ".title{fill:#d8d9da;font-size:10px}"
    )
    namespace = "http://www.w3.org/2000/svg"
    return (
        f"<body style='margin:0'><svg xmlns='{namespace}' width='{width}' height='{height}'>"
        f"<style>{style}</style><rect width='100%' height='100%' fill='#111217'/>"
        f"{''.join(parts)}</svg></body>"
    )


def _panel(panel: dict[str, Any], ask: Callable[[str], Answer], column: float) -> str:
    place = panel["gridPos"]
    x, y = place["x"] * column + 3, place["y"] * ROW_HEIGHT + 3
    width, height = place["w"] * column - 6, place["h"] * ROW_HEIGHT - 6
    title = escape(panel["title"])
    if panel["type"] == "row":
        return (
            f"<text x='{x + 2}' y='{y + 14}' style='font-size:12px;fill:#d8d9da'>▾ {title}</text>"
        )
    frame = (
        f"<rect width='{width}' height='{height}' rx='2' fill='#181b1f' stroke='#25282d'/>"
        f"<text x='8' y='15' class='title'>{title}</text>"
    )
    inside = (_stat if panel["type"] == "stat" else _lines)(panel, ask, width, height)
    return f"<g transform='translate({x},{y})'>{frame}{inside}</g>"


def _stat(panel: dict[str, Any], ask: Callable[[str], Answer], width: float, height: float) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    answer = ask(panel["targets"][0]["expr"])
    if not answer:
        return f"<text x='{width / 2}' y='{height / 2 + 8}' text-anchor='middle'>No data</text>"
    value = float(answer[0]["values"][-1][1])
    steps = [
        step
        for step in defaults["thresholds"]["steps"]
        if step["value"] is None or value >= step["value"]
    ]
    style = f"text-anchor:middle;font-size:26px;fill:{NAMED[steps[-1]['color']]}"
    text = escape(_number(value, defaults["unit"]))
    return f"<text x='{width / 2}' y='{height / 2 + 16}' style='{style}'>{text}</text>"


def _lines(panel: dict[str, Any], ask: Callable[[str], Answer], width: float, height: float) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    series = _series(panel["targets"], ask)
    stacked = "stacking" in panel["fieldConfig"]["defaults"]["custom"]
    if stacked:
        series = _stack(series)
    points = [point for _, line in series for point in line]
    if not points:
        return f"<text x='{width / 2}' y='{height / 2}' text-anchor='middle'>No data</text>"
    first, last = min(time for time, _ in points), max(time for time, _ in points)
    top = max(value for _, value in points) * 1.1 or 1.0
    left, right, upper, lower = 52.0, width - 8, 24.0, height - 24
    across = lambda time: left + (time - first) / ((last - first) or 1) * (right - left)  # noqa: E731
    down = lambda value: lower - value / top * (lower - upper)  # noqa: E731
    parts = []
    for share in (0.0, 0.5, 1.0):
        label = escape(_number(top * share, unit))
        parts.append(f"<path d='M{left} {down(top * share)}H{right}' stroke='#2b2e34'/>")
        parts.append(
            f"<text x='{left - 4}' y='{down(top * share) + 3}' text-anchor='end'>{label}</text>"
        )
    for number, (_, line) in reversed(list(enumerate(series))):
        color = COLORS[number % len(COLORS)]
        for piece in _unbroken(line):
            path = "L".join(f"{across(time):.0f} {down(value):.0f}" for time, value in piece)
            if stacked:
                begin = f"{across(piece[0][0]):.0f} {lower}"
                parts.append(f"<path d='M{begin}L{path}V{lower}Z' fill='{color}' opacity='.25'/>")
            parts.append(f"<path d='M{path}' fill='none' stroke='{color}' stroke-width='1.2'/>")
    return "".join(parts) + _legend([name for name, _ in series], width, height)


def _unbroken(line: Points) -> list[Points]:
    """Return the line in pieces, with a gap where values are missing."""
    step = min((later - earlier for (earlier, _), (later, _) in pairwise(line)), default=0.0)
    pieces = [line[:1]]
    for (earlier, _), point in pairwise(line):
        if point[0] - earlier > 1.5 * step:
            pieces.append([])
        pieces[-1].append(point)
    return pieces


def _legend(names: Iterable[str], width: float, height: float) -> str:
    parts, x = [], 10.0
    for number, name in enumerate(names):
        if x + 16 + 5.6 * len(name) > width:
            break
        color = COLORS[number % len(COLORS)]
        parts.append(f"<rect x='{x}' y='{height - 13}' width='8' height='3' fill='{color}'/>")
        parts.append(f"<text x='{x + 11}' y='{height - 8}'>{escape(name)}</text>")
        x += 22 + 5.6 * len(name)
    return "".join(parts)


def _series(
    targets: Iterable[dict[str, Any]], ask: Callable[[str], Answer]
) -> list[tuple[str, Points]]:
    """Return the series of a panel with their legends, without values that are not numbers."""
    found: list[tuple[str, Points]] = []
    for target in targets:
        for answer in ask(target["expr"]):
            labels = answer["metric"]
            name = re.sub(
                r"\{\{(\w+)\}\}",
                lambda match, labels=labels: labels.get(match[1], ""),
                target["legendFormat"],
            )
            points = [
                (float(time), float(value))
                for time, value in answer["values"]
                if math.isfinite(float(value))
            ]
            if points:
                found.append((name, points))
    return found


def _stack(series: list[tuple[str, Points]]) -> list[tuple[str, Points]]:
    totals: dict[float, float] = {}
    stacked = []
    for name, points in series:
        line = []
        for time, value in points:
            totals[time] = totals.get(time, 0.0) + value
            line.append((time, totals[time]))
        stacked.append((name, line))
    return stacked


def _number(value: float, unit: str) -> str:
    """Return a value with its unit."""
    for size, word in UNITS[unit]:
        if abs(value) >= size:
            return f"{value / size:.3g}{word}"
    return f"{value:.2g}" if value else "0"
