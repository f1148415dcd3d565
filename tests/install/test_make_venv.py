"""`make venv` on a Python with pip 22.3 is quiet and never leaves half an environment.

It runs again when a lock changes. The Makefile and the pinned pip are the real ones;
the package and its lock are small stand-ins.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.install.locks import ROOT, for_this_python

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "small"
version = "1"
[tool.setuptools]
py-modules = ["small"]
"""
DEV = ROOT / "requirements-dev.lock"
pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Project:
    """A checkout with its own virtual environment."""

    folder: Path
    python: Path
    environment: dict[str, str]

    @property
    def lock(self) -> Path:
        """Return the path of the lock that `make venv` installs."""
        return self.folder / "requirements-dev.lock"

    @property
    def ready(self) -> Path:
        """Return the file that `make venv` writes at the end."""
        return self.folder / ".venv/.ready"

    def write_lock(self, *names: str) -> None:
        """Write the entries of these packages, as requirements-dev.lock has them."""
        self.edit_lock("".join(for_this_python(DEV)[name].text + "\n" for name in names))

    def edit_lock(self, text: str) -> None:
        """Write the lock later than the environment.

        The clock of a file system has ticks of some milliseconds, so the end of an
        installation and a write directly after it may have the same time.
        """
        if self.ready.exists():
            second_before = self.ready.stat().st_mtime - 1
            os.utime(self.ready, (second_before, second_before))
        self.lock.write_text(text)

    def make(self, *targets: str) -> subprocess.CompletedProcess[str]:
        """Run make as a shell does."""
        command = [
            "make",
            "--directory",
            self.folder,
            "--no-print-directory",
            f"PYTHON={self.python}",
            *targets,
        ]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=600, check=False
        )

    def versions(self) -> set[str]:
        """Return the packages of the environment, as `name==version`."""
        command = [self.folder / ".venv/bin/python", "-m", "pip", "list", "--format=freeze"]
        listed = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60, check=True
        )
        return set(listed.stdout.split())


@pytest.fixture
def project(
    tmp_path: Path, fresh_python: Path, index_has_newer_releases: dict[str, str]
) -> Project:
    for file in ("Makefile", "requirements-pip.lock"):
        shutil.copy(ROOT / file, tmp_path)
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "small.py").touch()
    second = tmp_path / "packages" / "devcluster"
    second.mkdir(parents=True)
    (second / "pyproject.toml").write_text(PYPROJECT.replace("small", "tiny"))
    (second / "tiny.py").touch()
    # These variables belong to the `make test` that runs this test.
    outside = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "VENV"}
    environment = {
        name: value for name, value in index_has_newer_releases.items() if name not in outside
    }
    made = Project(tmp_path, fresh_python, environment)
    made.write_lock("setuptools")
    return made


def pin(lock: Path, name: str) -> str:
    return str(for_this_python(lock)[name].requirement)


def test_it_installs_the_pinned_pip_and_the_lock_prints_one_line_and_runs_once(
    project: Project,
) -> None:
    done = project.make("venv")

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "installing requirements-dev.lock into .venv\n"
    assert project.versions() == {
        pin(ROOT / "requirements-pip.lock", "pip"),
        pin(DEV, "setuptools"),
        "small==1",
        "tiny==1",
    }
    assert "Nothing to be done" in project.make("venv").stdout


def test_a_changed_lock_makes_a_new_environment(project: Project) -> None:
    project.write_lock("setuptools", "pluggy")
    assert project.make("venv").returncode == 0
    assert pin(DEV, "pluggy") in project.versions()

    project.write_lock("setuptools")
    done = project.make("venv")

    assert done.returncode == 0, done.stdout + done.stderr
    assert pin(DEV, "pluggy") not in project.versions()


def test_an_environment_is_not_ready_after_an_installation_that_failed(project: Project) -> None:
    assert project.make("venv").returncode == 0
    good, made_at = project.lock.read_text(), project.lock.stat().st_mtime
    project.edit_lock(re.sub("sha256:.{4}", "sha256:0000", good))
    assert project.make("venv").returncode != 0

    project.lock.write_text(good)
    # `git stash` and some editors also restore the modification time.
    os.utime(project.lock, (made_at, made_at))
    done = project.make("venv")

    assert done.stdout == "installing requirements-dev.lock into .venv\n"
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_lock_that_lacks_a_dependency_is_refused(project: Project) -> None:
    project.write_lock("setuptools", "aiosignal")

    done = project.make("venv")

    assert done.returncode != 0
    assert "requirements-dev.lock is incomplete: aiosignal" in done.stderr
    assert "frozenlist" in done.stderr
    assert not project.ready.exists()


def test_a_folder_that_is_no_virtual_environment_is_not_cleared(project: Project) -> None:
    (project.folder / ".venv").mkdir()
    (project.folder / ".venv/notes").write_text("mine")

    assert project.make("venv").returncode == 0

    assert (project.folder / ".venv/notes").read_text() == "mine"
