"""`kubectl configmapsync tree` and `graph` show chains of syncs with their states."""

import json
import textwrap
from xml.etree import ElementTree as ET

import pytest

from tests.journeys.stage import Stage
from tests.support.plugin import normalized, run_plugin
from tests.support.processes import Process

pytestmark = pytest.mark.timeout(300)  # each call starts Python


def chain(stage: Stage) -> tuple[str, str, str, str]:
    """Copy home -> middle -> end, with a conflict beside it; return the namespaces."""
    home, middle, end, taken = (stage.namespace(prefix) for prefix in ("home", "mid", "end", "tak"))
    content = stage.source(home, data={"password": "value-of-a-configmap"})
    stage.put_configmap(taken, "config")
    first = stage.sync(home, "first", destinationNamespaces=[middle, taken])
    second = stage.sync(middle, "second", destinationNamespaces=[end])
    stage.copy_becomes(content, end)
    stage.ready_becomes(second, "True", "Synced")
    stage.ready_becomes(first, "False", "DestinationConflict")
    stage.summary_becomes(first, "1/2")
    return home, middle, end, taken


def test_a_tree_shows_where_a_configmap_comes_from_and_goes_to(
    stage: Stage, reconciler: Process
) -> None:
    home, middle, end, taken = chain(stage)
    names = {home: "home", middle: "mid", end: "end", taken: "tak"}
    whole = run_plugin(stage.cluster, "tree", f"{home}/config").stdout
    assert normalized(whole, names) == textwrap.dedent("""\
        home_________/config
        └── sync home_________/first          DestinationConflict (1/2)
            ├── mid_________/config           Synced
            │   └── sync mid_________/second  Synced (1/1)
            │       └── end_________/config   Synced
            └── tak_________/config           DestinationConflict
        """)
    way = run_plugin(stage.cluster, "tree", f"{end}/config").stdout
    assert normalized(way, names) == textwrap.dedent("""\
        home_________/config
        └── sync home_________/first          DestinationConflict (1/2)
            └── mid_________/config           Synced
                └── sync mid_________/second  Synced (1/1)
                    └── end_________/config   Synced (this ConfigMap)
        """)
    document = json.loads(run_plugin(stage.cluster, "tree", f"{home}/config", "-o", "json").stdout)
    assert document["children"][0]["children"][1]["state"] == "DestinationConflict"
    assert "value-of-a-configmap" not in json.dumps(document)


def test_a_configmap_without_a_sync_has_no_tree(stage: Stage) -> None:
    namespace = stage.namespace()
    stage.source(namespace)
    error = run_plugin(stage.cluster, "tree", f"{namespace}/config", exit_code=1).stderr
    assert error == (
        f"Error: ConfigMap {namespace}/config is no source and no copy of any ConfigMapSync\n"
        f"Run kubectl configmapsync explain {namespace}/config\n"
    )


def test_a_graph_is_drawn_in_three_languages(stage: Stage, reconciler: Process) -> None:
    home, middle, end, taken = chain(stage)
    names = {home: "home", middle: "mid", end: "end", taken: "tak"}
    printed = run_plugin(stage.cluster, "graph", "-n", middle).stdout
    assert normalized(printed, names) == textwrap.dedent("""\
        flowchart LR
          n0(["mid_________/second 1/1<br/>Synced"]):::ready
          n1["mid_________/config<br/>Synced"]:::ready
          n2["end_________/config<br/>Synced"]:::ready
          n1 --> n0
          n0 --> n2
          classDef source stroke:#57606a,color:#57606a
          classDef ready stroke:#1a7f37,color:#1a7f37
          classDef pending stroke:#9a6700,color:#9a6700
          classDef failed stroke:#cf222e,color:#cf222e
        """)
    dot = run_plugin(stage.cluster, "graph", "-o", "dot").stdout
    assert f'label="{home}/config\\nSource"' in dot
    svg = run_plugin(stage.cluster, "graph", "-o", "svg").stdout
    texts = [text.text for text in ET.fromstring(svg).findall(".//{*}text")]  # noqa: S314 - own output
    assert {f"{home}/config", f"{home}/first 1/2", f"{end}/config"} <= set(texts)
