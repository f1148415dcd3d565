"""Fixtures of the installation tests: the oldest pip and an index of newer releases."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.locks import LOCKS, entries, newer_releases

OLDEST_PIP = Path(__file__).parent / "pip-22.3.lock"


@pytest.fixture(scope="session")
def index_has_newer_releases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return an environment in which pip finds a newer release of every locked package."""
    names = {entry.requirement.name for lock in LOCKS for entry in entries(lock)}
    folder = newer_releases(names, tmp_path_factory.mktemp("index") / "newer")
    return {
        **os.environ,
        "PIP_FIND_LINKS": folder.as_uri(),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_COMPILE": "1",
    }


@pytest.fixture(scope="session")
def fresh_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a program that acts as a Python whose `-m venv` installs pip 22.3."""
    program = tmp_path_factory.mktemp("python") / "python3"
    install = "install --quiet --disable-pip-version-check --no-compile --require-hashes"
    program.write_text(
        "#!/bin/sh\nset -e\n"
        '[ "$1 $2" = "-m venv" ]\n'
        f'"{sys.executable}" "$@" --without-pip\n'
        'for folder in "$@"; do :; done\n'
        f'"{sys.executable}" -m pip --python "$folder" {install} --requirement="{OLDEST_PIP}"\n'
    )
    program.chmod(0o755)
    return program


@pytest.fixture
def environment_with_oldest_pip(fresh_python: Path, tmp_path: Path) -> Path:
    """Return the Python of a new virtual environment that has only pip 22.3."""
    subprocess.run([fresh_python, "-m", "venv", tmp_path / "venv"], check=True, timeout=300)
    return tmp_path / "venv" / "bin" / "python"
