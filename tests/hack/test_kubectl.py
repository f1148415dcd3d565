"""Unpack kubectl and helm from archives made here, without the network."""

import importlib.util
import io
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[2] / "hack" / "kubectl.py"


@pytest.fixture
def script() -> ModuleType:
    """Return a new copy of the module, which a test may change."""
    spec = importlib.util.spec_from_file_location("hack_kubectl", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel_around(programs: dict[str, bytes], path: Path) -> Path:
    layer, package = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(layer, "w") as archive:
        for name, program in programs.items():
            archive.writestr(f"{name}/{name}", program)
    with tarfile.open(fileobj=package, mode="w:gz") as archive:
        member = tarfile.TarInfo("package/lib/layer.zip")
        member.size = len(layer.getvalue())
        archive.addfile(member, io.BytesIO(layer.getvalue()))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("some_package/_jsii/layer@1.jsii.tgz", package.getvalue())
    return path


@pytest.mark.parametrize("name", ["kubectl", "helm"])
def test_the_program_is_found_inside_the_three_archives(
    script: ModuleType, tmp_path: Path, name: str
) -> None:
    programs = {"kubectl": b"\x7fELF kubectl", "helm": b"\x7fELF helm"}
    wheel = wheel_around(programs, tmp_path / "layer-1-py3-none-any.whl")

    assert script.program_in(wheel, name) == programs[name]


def test_nothing_is_unpacked_if_kubectl_is_on_the_path(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    present = tmp_path / "kubectl"
    present.write_text("#!/bin/sh\n")
    present.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(script, "unpack", lambda _: pytest.fail("nothing to unpack"))

    assert script.main() == 0
    assert capsys.readouterr().out == f"{present}\n"


def test_the_script_names_the_machine_if_the_package_has_no_build_for_it(
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(script, "FOLDER", tmp_path)
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")

    assert script.main() == 1
    assert "has no build for Darwin on arm64: please install it" in capsys.readouterr().out


def test_the_lock_pins_the_package_with_a_hash() -> None:
    lock = SCRIPT.parents[1] / "requirements-kubectl.lock"

    pinned = [line for line in lock.read_text().splitlines() if "==" in line]

    assert len(pinned) == 1
    assert lock.read_text().count("--hash=sha256:") == 1
