"""Check that each alert fires when it should, and has an entry in the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus.promtool import ALERTS, ROOT, evaluate, needs_promtool, promtool, write_rules

CASES: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "alerts.yaml").read_text()
)
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text()
LISTED = set(re.findall(r"^\| `(\w+)`", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
# A metric that Prometheus itself records.
FROM_PROMETHEUS = {"up"}
PARTS = re.compile(r"_(bucket|count|sum)$")


def firing() -> Iterator[Any]:
    for name, cases in CASES.items():
        for kind in cases:
            if kind != "quiet":
                yield pytest.param(name, cases[kind], id=f"{name}-{kind}")


def entries() -> dict[str, str]:
    """Return the text of the runbook by alert."""
    parts = re.split(r"^### (ConfigMapSync\w+)$", RUNBOOK, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    assert CASES.keys() == ALERTS.keys()
    assert [name for name, cases in CASES.items() if not {"fires", "quiet"} <= cases.keys()] == []


@needs_promtool
def test_prometheus_accepts_the_rules(tmp_path: Path) -> None:
    done = promtool("check", "rules", "--lint-fatal", write_rules(tmp_path))

    assert done.returncode == 0, done.stdout


@needs_promtool
@pytest.mark.parametrize(("name", "case"), list(firing()))
def test_it_fires(name: str, case: dict[str, Any], tmp_path: Path) -> None:
    evaluate(tmp_path, case["series"], case["at"], {name: [case["labels"]]})


@needs_promtool
@pytest.mark.parametrize("name", list(CASES))
def test_it_stays_quiet(name: str, tmp_path: Path) -> None:
    case = CASES[name]["quiet"]
    minutes = (
        int(case["at"].removesuffix("m"))
        if case["at"].endswith("m")
        else 60 * int(case["at"].removesuffix("h"))
    )

    for minute in range(1, minutes + 1, max(1, minutes // 10)):
        evaluate(tmp_path, case["series"], f"{minute}m", {name: []})


@pytest.mark.parametrize("name", list(ALERTS))
def test_an_alert_has_a_summary_and_a_link_to_the_runbook(name: str) -> None:
    rule = ALERTS[name]

    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    assert rule["annotations"]["runbook_url"].endswith(f"docs/runbook.md#{name.lower()}")


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() -> None:
    found = entries()

    assert list(found) == list(ALERTS)
    for name, text in found.items():
        words = [
            word
            for word in ("Meaning", "Impact", "Diagnosis", "Cure")
            if f"**{word}.**" not in text
        ]
        assert words == [], f"{name} lacks {words}"


@pytest.mark.parametrize("name", list(ALERTS))
def test_every_metric_of_an_alert_is_documented(name: str) -> None:
    asked = set(re.findall(r"([a-z_]{2,})\{", ALERTS[name]["expr"]))

    assert asked
    assert {PARTS.sub("", metric) for metric in asked} - FROM_PROMETHEUS <= LISTED
