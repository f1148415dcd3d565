"""Run the exercises, and the mistake of exercise 3, which leaves an orphan."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import DOCS, ROOT, Command, commands, comparable

EXERCISES = commands(DOCS / "exercises.md")
FINALIZER_FIRST = "current = await self.reporter.set_finalizer(record, present=True)"
PACKAGES = ("configmapsync", "cluster", "kube", "runtime", "reconciler", "dryrun", "docs", "config")


def run(command: Command, folder: Path) -> str:
    module = command.line.split()[2]
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=folder,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.line.split(".")[-1])
def test_an_exercise_prints_what_the_page_shows(exercise: Command) -> None:
    assert comparable(run(exercise, ROOT)) == comparable(exercise.output)


def test_without_the_finalizer_a_crash_leaves_an_orphan(tmp_path: Path) -> None:
    # Other processes may be compiling modules, which are files that come and go.
    compiled = shutil.ignore_patterns("__pycache__")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=compiled)
    reconcile = tmp_path / "reconciler" / "reconcile.py"
    code = reconcile.read_text(encoding="utf-8")
    assert code.count(FINALIZER_FIRST) == 1, "the exercise names another line now"
    reconcile.write_text(code.replace(FINALIZER_FIRST, "current = record"), encoding="utf-8")
    [crash] = [command for command in EXERCISES if command.line.endswith("crash")]

    assert run(crash, tmp_path).endswith("an orphan is left\n")
