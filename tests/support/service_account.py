"""Give a process the ServiceAccount files of a pod: token, CA and namespace.

They are mounted in a mount namespace of this process alone. If this machine does not
allow that, the process gets a kubeconfig with the same token and no other file.
"""

import functools
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.cluster import Cluster
from tests.support.users import write_kubeconfig

MOUNTED_AT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Hides this machine's /run from the process, so that no folder is created on its disk. $1: the
# folder, $2: the mount path; then the command.
MOUNT = """
mount -t tmpfs tmpfs "$(readlink -f /var/run)"
mkdir -p "$2"
mount --bind "$1" "$2"
shift 2
exec "$@"
"""


@dataclass(frozen=True)
class ServiceAccountVolume:
    """The files of one pod."""

    cluster: Cluster
    namespace: str
    name: str
    folder: Path

    def write(self) -> None:
        """Request a token and write all files."""
        assert self.cluster.authority_file is not None
        self.renew()
        shutil.copy(self.cluster.authority_file, self.folder / "ca.crt")
        (self.folder / "namespace").write_text(self.namespace)

    def renew(self) -> None:
        """Replace the token atomically, as a kubelet does long before it expires."""
        token = self.cluster.token_of_account(self.namespace, self.name)
        fresh = self.folder / "fresh"
        fresh.write_text(token)
        fresh.replace(self.folder / "token")
        write_kubeconfig(
            self.folder / "kubeconfig",
            self.cluster.url,
            self.cluster.authority_file,
            {"token": token},
        )

    def token(self) -> str:
        """Return the current token of the pod."""
        return (self.folder / "token").read_text()

    def command(self) -> list[str]:
        """Return the prefix of the pod's command line."""
        way = mounting()
        return [*way, "sh", "-euc", MOUNT, "sh", str(self.folder), MOUNTED_AT] if way else []

    def environment(self) -> dict[str, str]:
        """Return the variables with the API server's address."""
        if not mounting():
            return {"KUBECONFIG": str(self.folder / "kubeconfig")}
        host, port = self.cluster.url.removeprefix("https://").rsplit(":", 1)
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


@functools.cache
def mounting() -> tuple[str, ...]:
    """Return the command that gives a process its own mounts on this machine.

    That is as root or as the root of a user namespace; empty if neither is allowed.
    """
    for way in (("unshare", "--mount"), ("unshare", "--mount", "--map-root-user")):
        try:
            command = [*way, "sh", "-euc", MOUNT, "sh", tempfile.gettempdir(), MOUNTED_AT, "true"]
            if (
                subprocess.run(command, capture_output=True, timeout=30, check=False).returncode
                == 0
            ):
                return way
        except FileNotFoundError:
            break
    return ()
