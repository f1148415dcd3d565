"""Read the console blocks of a page and run their commands as a reader does.

The tests of `tests/docs` use it. A command is a line that begins with `$ `; the lines
after it are its output, as the page promises it.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
CONSOLE = re.compile(r"^( *)```console\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
# What differs from run to run: ages, and the width of columns.
VARIES = re.compile(r"\b\d+(?:ms|[smhd])(?:\d+s)?\b")
COMMAND_SECONDS = 120
OUTPUT_SECONDS = 30


@dataclass(frozen=True)
class Command:
    """One command of a page, with the output that the page shows."""

    line: str
    output: str


def commands(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    return list(_commands(page.read_text(encoding="utf-8")))


def _commands(text: str) -> Iterator[Command]:
    for indent, block in CONSOLE.findall(text):
        parts = re.split(r"^\$ ", textwrap.dedent(indent + block), flags=re.MULTILINE)
        for part in parts[1:]:
            lines = part.split("\n")
            length = 1
            while lines[length - 1].endswith("\\"):
                length += 1
            yield Command("\n".join(lines[:length]), "\n".join(lines[length:]).strip())


def run(command: Command, cluster: Cluster, folder: Path = ROOT) -> None:
    """Run a command in the folder of the repository, and require the output of the page.

    A command that only reads is repeated until the output fits, because copies and
    statuses follow a write a moment later.
    """
    if command.line.startswith(("kubectl get", "kubectl events")):
        wait_until(lambda: _require(command, cluster, folder), OUTPUT_SECONDS)
    else:
        _require(command, cluster, folder)


def _require(command: Command, cluster: Cluster, folder: Path) -> bool:
    printed, code = _execute(command.line, cluster, folder)
    fails = re.match(r"error|Error|The \w+ \".*\" is invalid", command.output) is not None
    assert (code != 0) == fails, f"$ {command.line}\nended with {code}:\n{printed}"
    if "--for=delete" in command.line:  # kubectl prints nothing if the object is gone already
        return True
    assert comparable(printed) == comparable(command.output), f"$ {command.line}\n{printed}"
    return True


def _execute(line: str, cluster: Cluster, folder: Path) -> tuple[str, int]:
    programs = (Path(sys.executable).parent, kubectl_program().parent)
    environment = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig),
        "KUBERC": "off",
        "PATH": os.pathsep.join((*map(str, programs), os.environ["PATH"])),
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.stdout, done.returncode


def comparable(output: str) -> list[list[str]]:
    """Return the words of each line, without ages and without warnings of kubectl."""
    lines = (line for line in output.splitlines() if not line.startswith("Warning:"))
    return [VARIES.sub("AGE", line).split() for line in lines if line.strip()]
