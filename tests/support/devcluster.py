"""Run devcluster as a process of a test.

Tests talk to it by `cluster.py`.
"""

import base64
import binascii
from collections.abc import Sequence
from pathlib import Path

import yaml

from tests.support.eventually import wait_until
from tests.support.processes import LOCAL_ADDRESS, START_SECONDS, Process
from tests.support.users import ADMIN, User, write_token_file
from tests.support.web import Web

FOLDER = (
    Path(__file__).parents[2] / "packages" / "devcluster"
)  # that of this checkout, whatever is installed


class DevCluster:
    """A devcluster that starts when built; `stop()` ends it."""

    def __init__(self, folder: Path, users: Sequence[User], *arguments: str) -> None:
        """Start the process and wait until it serves.

        Args:
            folder: an empty one, for its kubeconfig and log.
            users: the users that can authenticate; one of them is the admin.
            arguments: further flags of `python -m devcluster`.
        """
        self._admin = next(user for user in users if user.name == ADMIN)
        self._kubeconfig = folder / "written-by-devcluster.kubeconfig"
        tokens = write_token_file(folder / "tokens.csv", users)
        self.process = Process.python(
            "devcluster",
            f"--listen={LOCAL_ADDRESS}:0",
            f"--kubeconfig={self._kubeconfig}",
            f"--token-auth-file={tokens}",
            *arguments,
            log=folder / "devcluster.log",
            environment={"PYTHONPATH": str(FOLDER)},
        )
        try:
            self.url, authority = wait_until(self._read_kubeconfig, START_SECONDS)
            self.authority_file = folder / "ca.crt"
            self.authority_file.write_bytes(authority)
            wait_until(self._ready, START_SECONDS)
        except BaseException:
            self.process.stop()
            raise

    def stop(self) -> None:
        """Stop the process; its objects are lost."""
        self.process.stop()

    def _read_kubeconfig(self) -> tuple[str, bytes]:
        self.process.check_running()
        try:
            entry = yaml.safe_load(self._kubeconfig.read_text())["clusters"][0]["cluster"]
            return entry["server"], base64.b64decode(
                entry["certificate-authority-data"], validate=True
            )
        except (OSError, yaml.YAMLError, LookupError, TypeError, binascii.Error) as problem:
            raise AssertionError(
                self.process.explain(f"no usable kubeconfig yet: {problem!r}")
            ) from problem

    def _ready(self) -> None:
        self.process.check_running()
        answer = Web(self.url, self.authority_file).request(
            "GET", "/readyz", token=self._admin.token
        )
        assert answer.status == 200, self.process.explain(f"/readyz: {answer.text}")
