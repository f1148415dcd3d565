"""Build images with buildah and run them as a kubelet does, without an engine.

A container here is a mount namespace whose root is the read-only image, and a process
with the user, environment and command of the image's configuration. It needs the Debian
package buildah, but no registry and no daemon.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUILD_TIMEOUT_SECONDS = 300.0
# Chroot needs no engine; the network is that of this machine.
BUILD_FLAGS = (
    "--quiet",
    "--isolation=chroot",
    "--layers=false",
)
# Mounts the volumes first and makes the root read-only then, as a kubelet does. $1: root; then
# pairs of volumes up to "--"; then the command.
START = """
root=$1; shift
mount --bind "$root" "$root"
mount --rbind --make-rslave /proc "$root/proc"
while [ "$1" != -- ]; do mount --bind "$1" "$root$2"; shift 2; done; shift
mount -o remount,bind,ro "$root"
exec "$@"
"""


@dataclass(frozen=True)
class Image:
    """A built image whose file system is mounted on this machine."""

    root: Path
    configuration: Mapping[str, Any]

    def command(
        self,
        *command: str | Path,
        volumes: Mapping[str, Path] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the command line that runs `command` in a container.

        The image's entry point is not used.

        Args:
            command: as `command` and `args` of a pod are.
            volumes: folders of this machine, by their path in the container.
            environment: as `env` of a pod; added to the image's environment.
        """
        mounts: list[str] = []
        for inside, outside in (volumes or {}).items():
            (self.root / inside.lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts += [str(outside), inside]
        (self.root / "proc").mkdir(exist_ok=True)
        given = [
            *self.configuration["Env"],
            *(f"{name}={value}" for name, value in (environment or {}).items()),
        ]
        become = [
            shutil.which("chroot") or "/usr/sbin/chroot",
            f"--userspec={self.configuration['User']}",
            self.root,
        ]
        enter = ["env", "--ignore-environment", *given, *become]
        arguments = [
            "unshare",
            "--mount",
            "sh",
            "-euc",
            START,
            "sh",
            self.root,
            *mounts,
            "--",
            *enter,
            *command,
        ]
        return [str(argument) for argument in arguments]

    def run(self, *command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command until it ends and return its output."""
        line = self.command(*command, **options)
        return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


class Buildah:
    """A store of images in a folder; deleting the folder deletes the store."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in `folder`."""
        places = [f"--root={folder / 'root'}", f"--runroot={folder / 'runroot'}"]
        layered = subprocess.run(
            ["buildah", *places, "--storage-driver=overlay", "info"],
            capture_output=True,
            check=False,
        )
        # Vfs copies every layer whole, and works everywhere.
        driver = "overlay" if layered.returncode == 0 else "vfs"
        self._command = ["buildah", *places, f"--storage-driver={driver}"]

    def __call__(self, *arguments: str | Path) -> str:
        """Run buildah and return its output.

        Raises:
            AssertionError: buildah failed; the message is its output.
        """
        command = [*self._command, *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_SECONDS, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    @property
    def program(self) -> str:
        """Return how a Makefile calls buildah."""
        return " ".join(self._command)

    def from_folder(self, root: Path, name: str) -> None:
        """Make an image of one layer that holds the content of the folder."""
        file = root.with_suffix(".Containerfile")
        file.write_text("FROM scratch\nCOPY . /\n")
        self("build", *BUILD_FLAGS, f"--tag={name}", f"--file={file}", root)

    def mount(self, name: str) -> Image:
        """Create a container from an image and mount it."""
        container = self("from", "--pull-never", name)
        configuration = json.loads(self("inspect", "--type=image", name))["OCIv1"]["config"]
        return Image(Path(self("mount", container)), configuration)
