"""The wheel contains the kubectl plugin, which runs without the source tree."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from plugin.cli import COMMANDS
from tests.install.locks import ROOT

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tracked files, because setuptools writes beside them."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for name in tracked:
        if name.startswith(("tests/", "docs/")) or not (ROOT / name).is_file():
            continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*pip, "--no-index", "--wheel-dir", target, source], check=True, capture_output=True
    )
    [built] = target.glob("configmapsync-*.whl")
    return built


def test_the_wheel_has_every_module_of_the_plugin_and_its_programs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [scripts] = [name for name in names if name.endswith("entry_points.txt")]
        entry_points = archive.read(scripts).decode()
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "plugin").rglob("*.py")}
    assert tracked <= names
    assert "kubectl-configmapsync = plugin.__main__:main" in entry_points
    assert "kubectl_complete-configmapsync = plugin.kubectl_completion:main" in entry_points


def test_the_installed_program_runs_every_command(wheel: Path, tmp_path: Path) -> None:
    """As pipx does, install the wheel; the dependencies are those of this environment."""
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": str(target), "PYTHONSAFEPATH": "1"}
    for arguments in (["--version"], *([name, "--help"] for name in COMMANDS)):
        done = subprocess.run(
            [sys.executable, target / "bin" / "kubectl-configmapsync", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=environment,
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(("kubectl configmapsync, version", "Usage: "))
