"""Run `python -m reconciler plan` as a user does."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NO_CONTENT, FAILURE, CHANGES = 0, 1, 2  # its exit codes


@dataclass(frozen=True)
class PlanResult:
    """The output of a plan, and its exit code."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Return the document of `--output json`."""
        return json.loads(self.stdout)


def plan(*arguments: str | Path, given: str | None = None) -> PlanResult:
    """Run the command; `given` is its standard input."""
    command = [sys.executable, "-m", "reconciler", "plan", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, input=given, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return PlanResult(done.returncode, done.stdout, done.stderr)


def writes(result: PlanResult) -> set[tuple[str, str]]:
    """Return every write of a JSON plan, as verb and key."""
    return {
        (write["verb"], f"{write['namespace']}/{write['name']}")
        for sync in result.document["syncs"]
        for write in sync["writes"]
    }
