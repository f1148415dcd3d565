"""Run every benchmark with little load. Their figures are not checked."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SMALL_LOADS = {
    "memory": ("--foreign", "10,20", "--syncs", "3", "--rate", "5", "--seconds", "1"),
    "scale": ("--syncs", "2,4", "--per-sync", "2", "--steps"),
    "admission": ("--syncs", "50", "--namespaces", "20", "--rate", "50", "--seconds", "1"),
}
COLUMNS = {"memory": "RSS", "admission": "memory", "scale": "new namespace"}


def run(*arguments: str) -> str:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout


pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("benchmark", SMALL_LOADS)
def test_a_benchmark_prints_its_figures(benchmark: str) -> None:
    assert COLUMNS[benchmark] in run(benchmark, *SMALL_LOADS[benchmark])


def test_all_stories_end_in_one_table(tmp_path: Path) -> None:
    small = ("--cluster", "devcluster", "--copies", "4", "--rounds", "1", "--quiet-seconds", "0.1")
    printed = run(*small, "--output", str(tmp_path))
    assert "These figures are of devcluster" in printed
    assert printed.strip() == (tmp_path / "results.md").read_text().strip()
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert len(rows) == 7
    for row in rows:
        assert row["title"] in printed
        assert all(each["seconds"] > 0 for each in (*row["own"], *row["plain"]))
