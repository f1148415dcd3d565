"""Reach an existing cluster (`--cluster=existing`) through `kubectl proxy`.

The proxy makes every way of authentication work.
"""

import os
import re
from pathlib import Path

from tests.support.eventually import wait_until
from tests.support.kubectl import kubectl_program
from tests.support.processes import LOCAL_ADDRESS, Process

VARIABLE = "KUBECONFIG"
MISSING = (
    f"--cluster=existing needs {VARIABLE} to name one kubeconfig file; "
    "the tests create namespaces on the cluster of its current context"
)
SERVING = re.compile(rf"Starting to serve on {re.escape(LOCAL_ADDRESS)}:(\d+)")


def existing_kubeconfig() -> Path | None:
    """Return the file of KUBECONFIG; never ~/.kube/config, which is not meant for tests."""
    named = os.environ.get(VARIABLE)
    return Path(named).resolve() if named and Path(named).is_file() else None


class ExistingCluster:
    """A proxy to the existing cluster that starts when built; `stop()` ends it."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        """Start the proxy on a port that it picks.

        Args:
            kubeconfig: of an admin.
            folder: for the proxy's log.
        """
        self._proxy = Process(
            [
                kubectl_program(),
                f"--kubeconfig={kubeconfig}",
                "proxy",
                f"--address={LOCAL_ADDRESS}",
                "--port=0",
            ],
            folder / "kubectl-proxy.log",
        )
        try:
            self.url = wait_until(self._address)
        except BaseException:
            self._proxy.stop()
            raise

    def stop(self) -> None:
        """Stop the proxy; the cluster stays as it is."""
        self._proxy.stop()

    def _address(self) -> str:
        self._proxy.check_running()
        serving = SERVING.search(self._proxy.output())
        assert serving, self._proxy.explain("not serving yet")
        return f"http://{LOCAL_ADDRESS}:{serving[1]}"
