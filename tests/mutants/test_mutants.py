"""Each planted bug still applies to the product, and the sweep finds it.

The product and the sweep are copied into a temporary folder, the bug is planted there,
and `python -m tests.sweep` runs in a process of its own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutants.planted import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
COPIED = (
    *("configmapsync", "kube", "runtime", "cluster", "reconciler", "dryrun"),
    *("tests/sweep", "tests/randomized", "config/crd", "packages/devcluster/devcluster"),
)
FOUND, KEPT = 1, 0  # exit codes of the sweep

every_mutant = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@every_mutant
def test_the_planted_bug_applies(mutant: Mutant) -> None:
    """A change of the product moved the text: update `tests/mutants/planted.py`."""
    text = (ROOT / mutant.path).read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.path} holds this {text.count(mutant.old)} times"


@pytest.mark.timeout(600)
@every_mutant
def test_the_sweep_finds_the_planted_bug(mutant: Mutant, tmp_path: Path) -> None:
    _copy(tmp_path)
    planted = tmp_path / mutant.path
    text = planted.read_text(encoding="utf-8")
    planted.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    result = _sweep(tmp_path, *mutant.sweep)
    assert result.returncode == FOUND, result.stdout + result.stderr
    assert "broke a promise" in result.stdout, result.stdout + result.stderr


def test_the_copy_without_a_planted_bug_is_what_is_tested(tmp_path: Path) -> None:
    _copy(tmp_path)
    result = _sweep(tmp_path, "edit")
    assert result.returncode == KEPT, result.stdout + result.stderr
    (tmp_path / "reconciler" / "reconcile.py").write_text("raise ValueError('the copy')\n")
    assert "the copy" in _sweep(tmp_path, "edit").stderr


def _copy(folder: Path) -> None:
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "tests" / "__init__.py", folder / "tests")


def _sweep(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(part) for part in (folder, folder / "packages" / "devcluster"))
    return subprocess.run(
        [sys.executable, "-m", "tests.sweep", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
