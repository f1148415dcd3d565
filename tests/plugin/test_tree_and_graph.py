"""`tree` and `graph` follow chains, show states, and stay bounded."""

import sys
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from cluster.syncs import SyncRecord
from configmapsync.names import NamespacedName
from plugin.drawing import MOST_NODES as MOST_BOXES
from plugin.drawing import Drawing, dot, draw, mermaid
from plugin.network import CopyMark, Network, read_mark
from plugin.rows import StatusRow, row_of
from plugin.svg import svg
from plugin.trees import MOST_NODES, Node, TreeBuilder
from tests.plugin.objects import configmap, marks, sync_record

DIGEST = "sha256:of-the-source"


def mark(record: SyncRecord, key: str, *, digest: str = DIGEST) -> CopyMark:
    return CopyMark(*key.split("/"), "9", record.metadata.uid, str(record.key), digest)


def link(number: int, back_to: int | None = None) -> SyncRecord:
    """Return the sync that copies ConfigMap `x` from namespace `n` to the next one."""
    target = number + 1 if back_to is None else back_to
    return sync_record(
        f"n{number}/link",
        sourceNamespace=f"n{number}",
        configMapName="x",
        destinationNamespaces=[f"n{target}"],
        desired=1,
    )


def chain(length: int, *, loop: bool = False) -> Network:
    last = length - 1
    records = [link(number, 0 if loop and number == last else None) for number in range(length)]
    targets = [0 if loop and number == last else number + 1 for number in range(length)]
    return Network(
        records,
        [mark(record, f"n{target}/x") for record, target in zip(records, targets, strict=True)],
    )


def tree(network: Network, key: str, **options: Any) -> Node:
    built = TreeBuilder(network, **options).build(NamespacedName(*key.split("/")))
    assert built is not None
    return built


def nodes(root: Node) -> Iterator[Node]:
    yield root
    for child in root.children:
        yield from nodes(child)


def outline(root: Node) -> list[str]:
    return [f"{node.key} {node.state}" for node in nodes(root)]


def test_a_tree_begins_at_the_first_source_and_goes_down_to_the_last_copy() -> None:
    network = chain(3)
    expected = [
        *("n0/x Source", "n0/link Synced", "n1/x Synced", "n1/link Synced"),
        *("n2/x Synced", "n2/link Synced", "n3/x Synced"),
    ]
    for key in ("n0/x", "n1/x", "n3/x"):
        assert outline(tree(network, key)) == expected
    asked = [node for node in nodes(tree(network, "n1/x")) if node.note == "this ConfigMap"]
    assert [str(node.key) for node in asked] == ["n1/x"]


def test_a_tree_shows_only_the_way_to_the_configmap_and_everything_below_it() -> None:
    fan = sync_record(destinationNamespaces=["*"], desired=30)
    copies = [mark(fan, f"team-{number:02}/limits") for number in range(30)]
    network = Network([fan], copies)
    assert outline(tree(network, "team-07/limits")) == [
        *("central/limits Source", "platform/shared Synced", "team-07/limits Synced"),
    ]


def test_many_copies_are_cut_and_what_failed_or_leads_on_is_always_shown() -> None:
    fan = sync_record(destinationNamespaces=["*"], desired=100, failures={"zz": "WriteFailed"})
    reader = sync_record("yy/next", sourceNamespace="yy", destinationNamespaces=["end"])
    copies = [mark(fan, f"team-{number:02}/limits") for number in range(98)]
    network = Network([fan, reader], [*copies, mark(fan, "yy/limits")])
    cut = tree(network, "central/limits", most_copies=5)
    [sync] = cut.children
    assert [child.key.namespace for child in sync.children] == [
        *("team-00", "team-01", "team-02", "team-03", "team-04", "yy", "zz"),
    ]
    assert sync.more == 93
    assert sync.children[-1].state == "WriteFailed"
    assert len(tree(network, "central/limits", most_copies=MOST_NODES).children[0].children) == 100


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_loop_is_shown_once(length: int) -> None:
    root = tree(chain(length, loop=True), "n0/x")
    assert len(outline(root)) <= 4 * length + 2
    assert sum(node.note == "shown above" for node in nodes(root)) == 1


@pytest.mark.parametrize("loop", [False, True])
def test_a_chain_longer_than_the_stack_of_python_is_cut(loop: bool) -> None:
    length = sys.getrecursionlimit() * 2
    network = chain(length, loop=loop)
    top = tree(network, "n0/x")
    assert len(outline(top)) < 300
    assert any(node.note.startswith("goes on: ") for node in nodes(top)) or loop
    middle = tree(network, f"n{length // 2}/x")
    assert len(outline(middle)) < 300
    assert middle.note.startswith("comes from ")


def test_a_huge_tree_is_cut() -> None:
    fan = sync_record(destinationNamespaces=["*"], desired=20_000)
    copies = [mark(fan, f"team-{number:05}/limits") for number in range(20_000)]
    root = tree(Network([fan], copies), "central/limits", most_copies=10**6)
    assert len(outline(root)) <= MOST_NODES + 1
    assert root.children[0].more == 20_000 + 2 - MOST_NODES


def test_states_of_copies_come_from_failures_digests_and_orphans() -> None:
    record = sync_record(failures={"web": "Contested"}, desired=3)
    gone = sync_record("old/gone")
    network = Network(
        [record],
        [
            mark(record, "web/limits"),
            mark(record, "db/limits", digest="sha256:older"),
            mark(gone, "left/limits"),
        ],
    )
    assert outline(tree(network, "central/limits"))[2:] == [
        *("db/limits Progressing", "web/limits Contested"),
    ]
    assert outline(tree(network, "left/limits")) == ["left/limits Orphaned"]
    assert TreeBuilder(network).build(NamespacedName("clone", "limits")) is None


def test_a_clone_of_a_copy_and_a_configmap_without_a_sync_are_no_copies() -> None:
    record = sync_record()
    copy = read_mark(configmap("web/limits", **marks(record, "web/limits")))
    assert copy is not None
    assert (copy.sync_uid, copy.synced_by) == (record.metadata.uid, str(record.key))
    assert read_mark(configmap("clone/limits", **marks(record, "web/limits"))) is None
    assert read_mark(configmap("web/limits")) is None


def test_a_blocked_destination_and_a_missing_source_have_a_tree() -> None:
    blocked = sync_record(reason="DestinationConflict", failures={"web": "DestinationConflict"})
    assert outline(tree(Network([blocked], []), "web/limits")) == ["web/limits DestinationConflict"]
    missing = sync_record(reason="SourceNotFound")
    assert outline(tree(Network([missing], []), "central/limits"))[0] == (
        "central/limits SourceNotFound"
    )


def drawing(network: Network) -> Drawing:
    return draw(network, network.syncs.values())


def test_a_graph_has_one_node_for_each_object_and_all_edges() -> None:
    made = drawing(chain(3))
    assert {(source.label, target.label) for source, target in made.edges} == {
        *(("n0/x", "n0/link 1/1"), ("n0/link 1/1", "n1/x"), ("n1/x", "n1/link 1/1")),
        *(("n1/link 1/1", "n2/x"), ("n2/x", "n2/link 1/1"), ("n2/link 1/1", "n3/x")),
    }


def test_many_copies_become_one_node_beside_the_failed_ones() -> None:
    fan = sync_record(destinationNamespaces=["*"], desired=1001, failures={"zz": "WriteFailed"})
    copies = [mark(fan, f"team-{number:04}/limits") for number in range(1000)]
    labels = [box.label for box in drawing(Network([fan], copies)).boxes.values()]
    assert labels == ["platform/shared 1000/1001", "central/limits", "zz/limits", "1,000 copies"]


HOSTILE = 'a"]:::x --> b; click <script>&\n\\"'


@pytest.mark.parametrize("form", [mermaid, dot, svg])
def test_text_of_a_cluster_cannot_leave_its_label(form: Any) -> None:
    record = sync_record(reason="WriteFailed", failures={HOSTILE: HOSTILE})
    text = form(drawing(Network([record], [])))
    assert "<script>" not in text.replace('label="', "") or form is dot
    if form is svg:
        ET.fromstring(text)  # noqa: S314 - the text was made here
    if form is mermaid:
        assert text.count("-->") == 2
        assert "\n  click" not in text
    if form is dot:
        assert text.count(" -> ") == 2
        assert 'a\\"]' in text


@pytest.mark.parametrize("loop", [False, True])
def test_an_svg_of_a_long_chain_or_a_loop_is_well_formed(loop: bool) -> None:
    root = ET.fromstring(svg(drawing(chain(1500, loop=loop))))  # noqa: S314 - the text was made here
    assert root.get("role") == "img"
    assert len(root.findall("{*}g")) == (3000 if loop else 3001)


def test_boxes_of_an_svg_do_not_overlap() -> None:
    records = [
        sync_record(f"a/s{number}", destinationNamespaces=["x"], desired=5) for number in range(5)
    ]
    copies = [
        mark(record, f"ns-{number}/c{index}")
        for index, record in enumerate(records)
        for number in range(5)
    ]
    root = ET.fromstring(svg(drawing(Network(records, copies))))  # noqa: S314 - the text was made here
    corners = [(rect.get("x"), rect.get("y")) for rect in root.findall(".//{*}rect")]
    assert len(set(corners)) == len(corners) == 31


def test_a_graph_of_a_huge_cluster_is_cut_and_says_so() -> None:
    records = [link(number * 2) for number in range(MOST_BOXES)]
    made = drawing(Network(records, []))
    assert len(made.boxes) <= MOST_BOXES + 2
    assert made.left_out > 0


def test_an_empty_cluster_has_an_empty_graph() -> None:
    empty = drawing(Network([], []))
    assert mermaid(empty).startswith("flowchart LR\n")
    ET.fromstring(svg(empty))  # noqa: S314 - the text was made here


def test_each_status_is_read_once_however_many_syncs_share_a_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[str] = []

    def counted(record: SyncRecord) -> StatusRow:
        read.append(record.name)
        return row_of(record)

    monkeypatch.setattr("plugin.network.row_of", counted)
    records = [sync_record(f"team/sync-{number}") for number in range(500)]
    network = Network(records, [mark(record, f"ns-{record.name}/limits") for record in records])
    drawing(network)
    tree(network, "central/limits")
    assert len(read) == len(set(read)) == 500
