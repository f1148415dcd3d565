"""The benchmarks still run: what they measure on a machine like this one, with hardly any load, says nothing and is not looked at."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("benchmark", "tells"),
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
def test_a_benchmark_tells_its_figures(benchmark: tuple[str, ...], tells: str) -> None:
    module, *arguments = benchmark
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert tells in done.stdout
