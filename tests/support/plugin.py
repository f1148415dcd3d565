"""Run the kubectl plugin as a process on a test cluster, and compare its output."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.support.cluster import Cluster

ROOT = Path(__file__).parents[2]
TIMEOUT_SECONDS = 60.0
# An age of a few seconds or minutes, which differs in each run.
AGE = re.compile(r"\b\d+(?:m\d+)?[sm]\b")
# A line of `plugin/progress.py`, which a busy machine causes.
PROGRESS = re.compile(r"^.* \.\.\.\n", re.MULTILINE)


def run_plugin(
    cluster: Cluster, *arguments: str, user: str = "", exit_code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run one command and return its output, without lines of progress.

    Args:
        cluster: the cluster.
        arguments: after `kubectl configmapsync`.
        user: alice or bob; the admin by default.
        exit_code: that the command must end with.
    """
    kubeconfig = cluster.kubeconfig_for(user) if user else cluster.kubeconfig
    done = subprocess.run(
        [sys.executable, "-m", "plugin", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_SECONDS,
        cwd=ROOT,
        env={**os.environ, "KUBECONFIG": str(kubeconfig), "COLUMNS": "100"},
    )
    assert done.returncode == exit_code, f"{done.stdout}{done.stderr}"
    done.stderr = without_progress(done.stderr)
    return done


def without_progress(stderr: str) -> str:
    """Return what a command printed to standard error, without lines of progress."""
    return PROGRESS.sub("", stderr)


def write_programs(folder: Path) -> None:
    """Write the console scripts of the plugin, as an installer does, from pyproject.toml.

    So the tests do not depend on when the environment was installed. `tests/install` checks the
    scripts of the wheel.
    """
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for name, target in scripts.items():
        if name.startswith("kubectl"):
            module, _, function = target.partition(":")
            script = folder / name
            script.write_text(
                f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
                f"from {module} import {function}\nsys.exit({function}())\n"
            )
            script.chmod(0o755)


def normalized(text: str, names: Mapping[str, str]) -> str:
    """Return a printed text with the random names and the ages of a test replaced.

    Args:
        text: the output of a command.
        names: what to print instead of each name; the columns keep their widths.
    """
    for name, instead in names.items():
        text = text.replace(name, instead.ljust(len(name), "_"))
    return AGE.sub("AGE", text)
