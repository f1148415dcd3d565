"""Draw syncs as a graph from sources over syncs to copies, as Mermaid or DOT.

`commands/graph.py` prints it, and `svg.py` draws it as SVG. If a sync has many copies,
one node stands for all that are up to date and not the source of another sync. The size
is bounded, also for copies that failed and for syncs.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from configmapsync.reasons import Reason
from plugin.network import SOURCE, Network
from plugin.terminal import printable, shortened, state_of

MOST_SINGLE_COPIES = 8  # of one sync; with more, those in state Synced become one node
MOST_NOTABLE_COPIES = 40  # of one sync, that are not up to date or lead on
MOST_NODES = 4000
LABEL_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the graph.

    Attributes:
        id: unique, of letters and digits.
        kind: `configmap`, `sync` or `copies`.
        label: the name.
        state: a reason word or `Source`.
        level: ready, pending, failed or source, for the color.
    """

    id: str
    kind: str
    label: str
    state: str
    level: str


@dataclass(slots=True)
class Drawing:
    """A graph.

    Attributes:
        boxes: the nodes, by kind and by the sync or ConfigMap.
        edges: pairs of nodes, in the order in which they are drawn.
        left_out: how many syncs were left out because the graph was full.
    """

    boxes: dict[tuple[str, NamespacedName], Box] = field(default_factory=dict)
    edges: dict[tuple[Box, Box], None] = field(default_factory=dict)
    left_out: int = 0


class _Drawer:
    def __init__(self, network: Network) -> None:
        self.drawing = Drawing()
        self._network = network

    def add_sync(self, record: SyncRecord) -> None:
        row = self._network.rows[record.key]
        sync = self._box("sync", record.key, f"{record.key} {row.copies}", row.state)
        if record.sync is not None:
            source = record.sync.source
            self.drawing.edges[self._configmap(source, self._network.states[source]), sync] = None
        rest = notable = 0
        destinations = self._network.destinations[record.key]
        for key, state in destinations.items():
            if key in self._network.readers or state != Reason.SYNCED:
                notable += 1
                shown = notable <= MOST_NOTABLE_COPIES
            else:
                shown = len(destinations) <= MOST_SINGLE_COPIES
            if shown:
                self.drawing.edges[sync, self._configmap(key, state)] = None
            rest += not shown
        if rest:
            target = self._box("copies", record.key, f"{rest:,} copies", "Synced")
            self.drawing.edges[sync, target] = None

    def _configmap(self, key: NamespacedName, state: str) -> Box:
        return self._box("configmap", key, str(key), state)

    def _box(self, kind: str, key: NamespacedName, label: str, state: str) -> Box:
        boxes = self.drawing.boxes
        if (kind, key) not in boxes:
            text = shortened(printable(label), LABEL_CHARACTERS)
            level = "source" if state == SOURCE else state_of(state).name.lower()
            boxes[kind, key] = Box(f"n{len(boxes)}", kind, text, printable(state), level)
        return boxes[kind, key]


def draw(network: Network, syncs: Iterable[SyncRecord]) -> Drawing:
    """Return the graph of these syncs of a network, in their order, until it is full."""
    drawer = _Drawer(network)
    for record in syncs:
        if len(drawer.drawing.boxes) >= MOST_NODES:
            drawer.drawing.left_out += 1
        else:
            drawer.add_sync(record)
    return drawer.drawing


COLORS = {"source": "#57606a", "ready": "#1a7f37", "pending": "#9a6700", "failed": "#cf222e"}
MERMAID_SHAPES = {"configmap": ("[", "]"), "sync": ("([", "])"), "copies": ("[[", "]]")}


def mermaid(drawing: Drawing) -> str:
    """Return the graph as a Mermaid flowchart."""
    lines = ["flowchart LR"]
    for box in drawing.boxes.values():
        left, right = MERMAID_SHAPES[box.kind]
        label = f"{_for_mermaid(box.label)}<br/>{_for_mermaid(box.state)}"
        lines.append(f'  {box.id}{left}"{label}"{right}:::{box.level}')
    lines += [f"  {source.id} --> {target.id}" for source, target in drawing.edges]
    lines += [f"  classDef {level} stroke:{color},color:{color}" for level, color in COLORS.items()]
    return "\n".join(lines) + "\n"


def _for_mermaid(text: str) -> str:
    """Return text with every character escaped that has a meaning in a Mermaid label."""
    return "".join(
        character if character.isalnum() or character in " -._/,…" else f"#{ord(character)};"
        for character in text
    )


def dot(drawing: Drawing) -> str:
    """Return the graph in the language of Graphviz."""
    lines = [
        "digraph configmapsync {",
        "  rankdir=LR;",
        '  node [shape=box, fontname="sans-serif"];',
    ]
    for box in drawing.boxes.values():
        shape = ', style="rounded"' if box.kind == "sync" else ""
        label = f"{_for_dot(box.label)}\\n{_for_dot(box.state)}"
        lines.append(f'  {box.id} [label="{label}", color="{COLORS[box.level]}"{shape}];')
    lines += [f"  {source.id} -> {target.id};" for source, target in drawing.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _for_dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
