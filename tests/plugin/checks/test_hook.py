"""Run the entry of the pre-commit hook with the files of a commit."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from tests.plugin.checks.test_check import sync

ROOT = Path(__file__).parents[3]
HOOKS = ROOT / ".pre-commit-hooks.yaml"


def run_hook(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the entry as pre-commit does: in the repository, with the names of files at its end."""
    [hook] = yaml.safe_load(HOOKS.read_text())
    scripts = Path(sys.executable).parent
    return subprocess.run(
        [*shlex.split(hook["entry"]), *names],
        cwd=folder,
        env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_entry_is_a_console_script_of_the_package() -> None:
    [hook] = yaml.safe_load(HOOKS.read_text())
    assert hook["language"] == "python"
    scripts = (ROOT / "pyproject.toml").read_text()
    assert re.search(rf"^{shlex.split(hook['entry'])[0]} = ", scripts, re.MULTILINE)


def test_good_files_pass_and_a_loop_over_two_files_fails(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(sync("destinationNamespace: web"))
    (tmp_path / "values.yaml").write_text("replicas: 2\n")
    (tmp_path / "template.yaml").write_text("{{ if .Values.x }}\nkind: Deployment\n{{ end }}\n")
    passed = run_hook(tmp_path, "a.yaml", "values.yaml", "template.yaml")
    assert passed.returncode == 0, passed.stdout + passed.stderr

    (tmp_path / "b.yaml").write_text(sync("destinationNamespace: home", namespace="web"))
    failed = run_hook(tmp_path, "a.yaml", "b.yaml")
    assert failed.returncode == 1
    assert failed.stdout.startswith("b.yaml:4:31: error: ConfigMapSync web/s: ")
    assert "would close a loop" in failed.stdout
