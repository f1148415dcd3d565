"""Build base images from this machine in place of the ones of a registry.

They are laid out as the official images: Python in /usr/local, Debian's loader and C
library. The builder image also has a shell and pip; the runtime image has neither, so a
process that runs in it proves that it needs neither.
"""

import ensurepip
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterable
from pathlib import Path

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
SHELL = ("/bin/sh", "/bin/rm")
PIP = '#!/bin/sh\nexec python -m pip "$@"\n'
# Parts of the C library that every Debian has. Programs linked against an older C library still
# load them by name.
C_LIBRARY = (
    "libdl.so.2",
    "libgcc_s.so.1",
    "libnss_dns.so.2",
    "libnss_files.so.2",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
)
NOT_NEEDED = shutil.ignore_patterns(
    "__pycache__",
    "site-packages",
    "dist-packages",
    "test",
    "idlelib",
    "turtledemo",
    "config-*",
    "ensurepip",
)


def lay_out_runtime(root: Path) -> Path:
    """Copy Python, its libraries and the trusted authorities to `root`, and return `root`."""
    program = root / "usr/local/bin" / VERSION
    program.parent.mkdir(parents=True)
    shutil.copy2(Path(sys._base_executable).resolve(), program)  # type: ignore[attr-defined]
    for name in ("python3", "python"):
        program.with_name(name).symlink_to(VERSION)
    stdlib = root / "usr/local/lib" / VERSION
    shutil.copytree(sysconfig.get_path("stdlib"), stdlib, ignore=NOT_NEEDED)
    (stdlib / "site-packages").mkdir()
    _copy_libraries(root, [program, *stdlib.glob("lib-dynload/*.so")])
    _copy(AUTHORITIES, root)
    (root / "tmp").mkdir(mode=0o1777)
    return root


def lay_out_builder(root: Path) -> Path:
    """Lay out the runtime, a shell and pip."""
    lay_out_runtime(root)
    for program in SHELL:
        _copy(Path(program), root)
    _copy_libraries(root, [Path(program) for program in SHELL])
    [wheel] = (Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(root / "usr/local/lib" / VERSION / "site-packages")
    pip = root / "usr/local/bin/pip"
    pip.write_text(PIP)
    pip.chmod(0o755)
    return root


def _copy_libraries(root: Path, programs: Iterable[Path]) -> None:
    listed = subprocess.run(
        ["ldd", *programs], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    libraries = {Path(path) for path in re.findall(r"(/\S+) \(0x", listed)}
    folder = next(path.parent for path in libraries if path.name.startswith("libc.so"))
    for library in libraries | {folder / name for name in C_LIBRARY}:
        _copy(library, root)


def _copy(source: Path, root: Path) -> None:
    """Copy files to the same paths under `root`, where some folders are symbolic links."""
    target = root / source.relative_to("/")
    if source.exists() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source.resolve(), target)
