"""Evaluate the alert rules with `promtool` (Debian's package `prometheus`)."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "rules.yaml"
GROUPS: Sequence[Mapping[str, Any]] = yaml.safe_load(RULES.read_text())["spec"]["groups"]
ALERTS: Mapping[str, Mapping[str, Any]] = {
    rule["alert"]: rule for group in GROUPS for rule in group["rules"]
}
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="needs promtool: apt-get install prometheus, or put it on PATH"
)


def promtool(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool; `stdout` of the result has both output streams."""
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def write_rules(folder: Path, *, annotations: bool = True) -> Path:
    """Write the groups of the PrometheusRule in the format of Prometheus; return the path."""
    left_out = set() if annotations else {"annotations"}
    groups = [
        {
            **group,
            "rules": [
                {key: rule[key] for key in rule if key not in left_out} for rule in group["rules"]
            ],
        }
        for group in GROUPS
    ]
    file = folder / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": groups}, sort_keys=False))
    return file


def evaluate(
    folder: Path,
    series: Mapping[str, str],
    at: str,
    expected: Mapping[str, Sequence[Mapping[str, str]]],
) -> None:
    """Check which alerts fire. Annotations depend on values and are not compared.

    Args:
        folder: an empty folder for the files of promtool.
        series: values in the notation of promtool, one per minute.
        at: the time of the check, such as `10m`.
        expected: the labels of each instance that must fire, by alert.
    """
    write_rules(folder, annotations=False)
    checks = [
        {
            "alertname": name,
            "eval_time": at,
            "exp_alerts": [{"exp_labels": dict(labels)} for labels in instances],
        }
        for name, instances in expected.items()
    ]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": _notation(values)} for name, values in series.items()
                ],
                "alert_rule_test": checks,
            }
        ],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(test, sort_keys=False))
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout


def _notation(values: str) -> str:
    """Return the values, and refuse a number: YAML reads `0x30` as 48."""
    assert isinstance(values, str), f"{values}: put it in quotes"
    return values
