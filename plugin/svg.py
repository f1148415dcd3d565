"""Lay a graph out in columns and draw it as SVG, without another program.

`commands/graph.py` calls it. The column of a node is one right of the first node that
leads to it; its row is the middle of the nodes that it leads to. The cost is linear in
nodes and edges, also for loops and long chains.
"""

from collections import defaultdict
from collections.abc import Mapping
from xml.sax.saxutils import escape

from plugin.drawing import COLORS, Box, Drawing

CHARACTER_WIDTH = 7.2  # of the monospaced font at 12 px
PADDING, MARGIN = 12, 24
BOX_HEIGHT, ROW_HEIGHT = 40, 52
COLUMN_GAP = 56
DARK_COLORS = {"source": "#9198a1", "ready": "#3fb950", "pending": "#d29922", "failed": "#f85149"}
STYLE = """
svg { background: #ffffff; font: 12px ui-monospace, Menlo, Consolas, monospace; }
rect { fill: #ffffff; stroke-width: 1.5; }
text { fill: #1f2328; }
path { fill: none; stroke: #8c959f; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117; }
rect { fill: #161b22; }
text { fill: #e6edf3; }
path { stroke: #6e7681; }
}
"""


class _Layout:
    """The column and the row of each node."""

    def __init__(self, drawing: Drawing) -> None:
        self.columns: dict[Box, int] = {}
        self.rows: dict[Box, float] = {}
        self._children: dict[Box, list[Box]] = defaultdict(list)
        for source, target in drawing.edges:
            self._children[source].append(target)
        targets = {target for _, target in drawing.edges}
        self._next_row = 0
        boxes = drawing.boxes.values()
        for start in (*(box for box in boxes if box not in targets), *boxes):  # a loop has no root
            if start not in self.columns:
                self._place(start)

    def _place(self, start: Box) -> None:
        """Place everything that can be reached from `start`, with a stack of its own."""
        self.columns[start] = 0
        stack = [(start, iter(self._children[start]), list[Box]())]
        while stack:
            node, rest, placed = stack[-1]
            child = next((each for each in rest if each not in self.columns), None)
            if child is not None:
                self.columns[child] = self.columns[node] + 1
                placed.append(child)
                stack.append((child, iter(self._children[child]), []))
                continue
            stack.pop()
            self.rows[node] = self._row(placed)

    def _row(self, placed: list[Box]) -> float:
        """Return the middle of the placed children, or a new row."""
        if placed:
            return (self.rows[placed[0]] + self.rows[placed[-1]]) / 2
        self._next_row += 1
        return self._next_row - 1


def svg(drawing: Drawing) -> str:
    """Return the graph as an SVG document."""
    layout = _Layout(drawing)
    widths: dict[int, float] = defaultdict(float)
    for box in drawing.boxes.values():
        column = layout.columns[box]
        widths[column] = max(widths[column], _width(box))
    lefts, left = {}, float(MARGIN)
    for column in sorted(widths):
        lefts[column] = left
        left += widths[column] + COLUMN_GAP
    width = left - COLUMN_GAP + MARGIN if widths else 2 * MARGIN
    height = 2 * MARGIN + ROW_HEIGHT * (max(layout.rows.values(), default=0) + 1)
    corners = {
        box: (lefts[layout.columns[box]], MARGIN + ROW_HEIGHT * layout.rows[box])
        for box in drawing.boxes.values()
    }
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
            '<title id="title">ConfigMapSyncs, their sources and their copies</title>',
            f"<style>{STYLE}{_colors()}</style>",
            *(_edge(corners, source, target) for source, target in drawing.edges),
            *(_node(box, left, top) for box, (left, top) in corners.items()),
            "</svg>\n",
        ]
    )


def _colors() -> str:
    light, dark = (
        "".join(f".{level} {{ stroke: {color}; }}\n" for level, color in colors.items())
        for colors in (COLORS, DARK_COLORS)
    )
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _width(box: Box) -> float:
    return max(len(box.label), len(box.state)) * CHARACTER_WIDTH + 2 * PADDING


def _node(box: Box, left: float, top: float) -> str:
    radius = BOX_HEIGHT / 2 if box.kind == "sync" else 4
    label, state = escape(box.label), escape(box.state)
    return (
        f'<g><title>{label}: {state}</title><rect class="{box.level}" x="{left:.1f}" '
        f'y="{top:.1f}" width="{_width(box):.1f}" height="{BOX_HEIGHT}" rx="{radius:g}"/>'
        f'<text x="{left + PADDING:.1f}" y="{top + 16:.1f}">{label}</text>'
        f'<text x="{left + PADDING:.1f}" y="{top + 32:.1f}" opacity="0.7">{state}</text></g>'
    )


def _edge(corners: Mapping[Box, tuple[float, float]], source: Box, target: Box) -> str:
    """Return a curve from the right side of the source to the left side of the target."""
    (x1, y1), (x2, y2) = corners[source], corners[target]
    x1, y1, y2 = x1 + _width(source), y1 + BOX_HEIGHT / 2, y2 + BOX_HEIGHT / 2
    bend = max(COLUMN_GAP / 2, abs(x2 - x1) / 2)
    return (
        f'<path d="M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} '
        f'{x2:.1f},{y2:.1f}"/>'
    )
