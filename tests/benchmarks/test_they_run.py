"""Run the benchmarks with little load. Their figures are not checked."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [
        (
            (
                "propagation",
                "--copies",
                "3",
                "--rounds",
                "1",
                "one-edit",
                "first-fan-out",
                "damage",
            ),
            "copies damaged",
        ),
        (
            ("admission", "--syncs", "50", "--namespaces", "20", "--rate", "50", "--seconds", "1"),
            "memory",
        ),
    ],
)
def test_a_benchmark_prints_its_figures(benchmark: tuple[str, ...], expected: str) -> None:
    module, *arguments = benchmark
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
