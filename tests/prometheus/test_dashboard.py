"""Check the metrics, the queries and the layout of the dashboard."""

import itertools
import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.prometheus.drawing import draw
from tests.prometheus.promtool import ROOT, needs_promtool, promtool

DASHBOARD = json.loads((ROOT / "config" / "prometheus" / "dashboard.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
DRAWN = [panel for panel in PANELS if panel["type"] != "row"]
QUERIES = [
    pytest.param(target["expr"], id=panel["title"])
    for panel in DRAWN
    for target in panel["targets"]
]
LISTED = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
# A metric that Prometheus itself records.
FROM_PROMETHEUS = {"up"}
WIDTH = 24  # columns of Grafana's grid


def plain(query: str) -> str:
    """Return a query with the variables of Grafana replaced."""
    return query.replace("$__rate_interval", "1m").replace("$namespace", ".*")


def test_it_has_a_row_for_each_question() -> None:
    rows = [panel["title"] for panel in PANELS if panel["type"] == "row"]

    assert rows == [
        "Availability",
        "Propagation",
        "Copies",
        "Failures",
        "API client",
        "Webhook",
        "Certificates",
    ]


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_of_a_query_is_documented(query: str) -> None:
    asked = {
        re.sub(r"_(bucket|count|sum)$", "", metric)
        for metric in re.findall(r"([a-z_]{2,})\{", query)
    }

    assert asked
    assert asked - FROM_PROMETHEUS <= LISTED


def test_every_own_metric_is_in_a_panel_or_an_alert() -> None:
    rules = (ROOT / "config" / "prometheus" / "rules.yaml").read_text()
    shown = json.dumps(DASHBOARD) + rules
    ours = {metric for metric in LISTED if metric.startswith("configmapsync_")}

    assert {metric for metric in ours if metric not in shown} == {"configmapsync_build_info"}


@needs_promtool
def test_prometheus_accepts_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{number}", "expr": plain(query.values[0])}  # type: ignore[arg-type]
        for number, query in enumerate(QUERIES)
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = promtool("check", "rules", file)

    assert done.returncode == 0, done.stdout


def test_panels_have_names_explanations_and_units() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert [panel["title"] for panel in DRAWN if not panel["description"]] == []
    assert [panel["title"] for panel in DRAWN if not panel["fieldConfig"]["defaults"]["unit"]] == []


def test_panels_do_not_overlap() -> None:
    cells: dict[tuple[int, int], str] = {}
    for panel in PANELS:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        for x, y in itertools.product(range(place["w"]), range(place["h"])):
            other = cells.setdefault((place["x"] + x, place["y"] + y), panel["title"])
            assert other == panel["title"], f"{panel['title']} overlaps {other}"


def test_the_picture_shows_every_panel_and_gaps_for_missing_values() -> None:
    def answer(query: str) -> list[dict[str, Any]]:
        times = (0, 2, 4, 60, 62)
        return (
            [{"metric": {"name": "<copies>"}, "values": [(time, "1.5") for time in times]}]
            if "age" in query
            else []
        )

    page = draw(DASHBOARD, answer, 1200)

    drawing = ET.fromstring(page)  # noqa: S314 - the text comes from draw()
    texts = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {panel["title"] for panel in DRAWN} <= texts
    assert {"No data", "<copies>"} <= texts
    lines = [element.get("d") or "" for element in drawing.iter("{http://www.w3.org/2000/svg}path")]
    assert len([line for line in lines if "L" in line]) == 2
