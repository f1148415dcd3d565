"""By which a process is somebody to the API server as a pod is: token, CA and namespace, as files where every pod has them.

They are mounted for this process alone, in a mount namespace of its own. Where this machine does not allow that, the process gets a
kubeconfig with the same token, and what it could learn from the other files it does not know.
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
# What the machine has under /run is hidden from the process, so that nothing needs to be made on its disk. $1: folder, $2: where; then the command.
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
        """Ask for a token, and put all in place."""
        assert self.cluster.authority_file is not None
        self.renew()
        shutil.copy(self.cluster.authority_file, self.folder / "ca.crt")
        (self.folder / "namespace").write_text(self.namespace)

    def renew(self) -> None:
        """Replace the token by a new one, in one step, as a kubelet does long before it expires."""
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
        """The one that the pod has now."""
        return (self.folder / "token").read_text()

    def command(self) -> list[str]:
        """What stands before the command line of the pod."""
        way = mounting()
        return [*way, "sh", "-euc", MOUNT, "sh", str(self.folder), MOUNTED_AT] if way else []

    def environment(self) -> dict[str, str]:
        """Where the API server is."""
        if not mounting():
            return {"KUBECONFIG": str(self.folder / "kubeconfig")}
        host, port = self.cluster.url.removeprefix("https://").rsplit(":", 1)
        return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}


@functools.cache
def mounting() -> tuple[str, ...]:
    """How a process gets mounts of its own on this machine: as root, or as the root of a user namespace; empty where neither is allowed."""
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
