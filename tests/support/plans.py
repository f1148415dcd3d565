"""`python -m reconciler plan` as people run it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_CONTENT, FAILURE, CHANGES = 0, 1, 2  # its exit codes


@dataclass(frozen=True)
class Told:
    """What a plan printed, and its exit code."""

    code: int
    text: str
    aside: str

    @property
    def document(self) -> Any:
        """The answer to `--output json`."""
        return json.loads(self.text)


def plan(*arguments: str | Path, given: str | None = None) -> Told:
    """Run it; `given` is its standard input."""
    command = [sys.executable, "-m", "reconciler", "plan", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, input=given, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Told(done.returncode, done.stdout, done.stderr)


def writes(told: Told) -> set[tuple[str, str]]:
    """Every write of a JSON plan, as verb and place."""
    return {
        (write["verb"], f"{write['namespace']}/{write['name']}")
        for sync in told.document["syncs"]
        for write in sync["writes"]
    }
