"""Start a real control plane: etcd, kube-apiserver, kube-controller-manager if present.

The programs are those of kubebuilder's envtest. Everything listens on 127.0.0.1 and
lives in one folder. It must not know which suite runs on it; tests talk to it by
`cluster.py`.
"""

import datetime as dt
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.support.eventually import wait_until
from tests.support.pki import Authority, KeyPair, signing_key
from tests.support.processes import LOCAL_ADDRESS, START_SECONDS, Process, free_port
from tests.support.users import ADMIN, User, write_kubeconfig, write_token_file
from tests.support.web import Web

ASSETS_VARIABLE = "KUBEBUILDER_ASSETS"
USUAL_FOLDER = Path("/usr/local/kubebuilder/bin")
API_SERVER, STORAGE, CONTROLLERS = "kube-apiserver", "etcd", "kube-controller-manager"
CONTROLLER_USER = "system:kube-controller-manager"
# The server's own Service takes the first address; nothing routes there.
SERVICE_RANGE = "10.0.0.0/24"
# Only controllers that work without nodes; the others would use time and write logs in vain.
CONTROLLER_NAMES = (
    "namespace-controller",
    "garbage-collector-controller",
    "serviceaccount-controller",
    "root-ca-certificate-publisher-controller",
    "clusterrole-aggregation-controller",
    "resourcequota-controller",
)
AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]  # at that stage the request is not authorized yet
rules: [{level: Metadata}]
"""
MISSING = (
    f"{API_SERVER} and {STORAGE} are not there: set {ASSETS_VARIABLE} to the folder that holds them"
)


@dataclass(frozen=True, slots=True)
class Programs:
    """The paths of the control plane's programs."""

    folder: Path

    @classmethod
    def find(cls) -> Self | None:
        """Return the programs of KUBEBUILDER_ASSETS, else of the usual folder, else None."""
        named = os.environ.get(ASSETS_VARIABLE)
        for folder in [Path(named)] if named else [USUAL_FOLDER]:
            if (folder / API_SERVER).is_file() and (folder / STORAGE).is_file():
                return cls(folder.resolve())
        return None

    @property
    def has_controllers(self) -> bool:
        """Return whether a controller empties namespaces and collects dependents."""
        return (self.folder / CONTROLLERS).is_file()


class ControlPlane:
    """A control plane that starts when built; `stop()` ends it."""

    def __init__(
        self,
        programs: Programs,
        folder: Path,
        users: Sequence[User],
        now: dt.datetime,
        audit_log: Path | None = None,
    ) -> None:
        """Start all programs and wait until the API server serves.

        Args:
            programs: what to start.
            folder: an empty one, for keys, logs and data.
            users: the users that can authenticate; one of them is the admin.
            now: the start of its certificates' validity.
            audit_log: gets a line for each request.
        """
        self._programs = programs
        self._folder = folder
        self._admin = next(user for user in users if user.name == ADMIN)
        self._authority = Authority(folder, now)
        self.authority_file = self._authority.pair.certificate
        self._serving = self._authority.server(
            "serving", ["localhost", "kubernetes.default.svc"], [LOCAL_ADDRESS, "10.0.0.1"]
        )
        self._controller_identity = self._authority.client("controllers", CONTROLLER_USER)
        self._service_account_key = signing_key(folder / "service-accounts.key")
        self._tokens = write_token_file(folder / "tokens.csv", users)
        self._auditing = _audit_into(audit_log, folder / "audit-policy.yaml") if audit_log else []
        self._storage_port, self._port = free_port(), free_port()
        self.url = f"https://{LOCAL_ADDRESS}:{self._port}"
        self._web = Web(self.url, self.authority_file)
        self._running: list[Process] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        self._running.append(self._start_storage())
        self._running.append(self._start_api_server())
        self._wait_until_ready()
        if self._programs.has_controllers:
            self._running.append(self._start_controllers())
            self._wait_for_controllers()

    def restart(self) -> None:
        """Kill the API server and start it again with the same address and data.

        A graceful stop would wait a minute for open watches.
        """
        self._running[1].kill()
        self._running[1] = self._start_api_server()
        self._wait_until_ready()

    @property
    def processes(self) -> list[Process]:
        """Return the running programs."""
        return list(self._running)

    def client_certificate(
        self, file_name: str, user: str, groups: Sequence[str], expires: dt.datetime
    ) -> KeyPair:
        """Create a client certificate that the API server accepts until it expires."""
        return self._authority.client(file_name, user, groups, expires)

    def compact(self) -> None:
        """Compact the history of the storage up to now, through its JSON gateway."""
        storage = Web(f"http://{LOCAL_ADDRESS}:{self._storage_port}", None)
        found = storage.request("POST", "/v3/kv/range", {"key": "AA=="}).json
        answer = storage.request(
            "POST", "/v3/kv/compaction", {"revision": found["header"]["revision"]}
        )
        assert answer.status == 200, answer.text

    def back_up(self) -> None:
        """Copy the data while no program runs, so that the copy is consistent."""
        self._halt()
        shutil.copytree(self._folder / "data", self._folder / "backup")
        self._start()

    def restore(self) -> None:
        """Restore the data of `back_up`; resource versions go back with it."""
        self._halt()
        shutil.rmtree(self._folder / "data")
        shutil.copytree(self._folder / "backup", self._folder / "data")
        self._start()

    def _halt(self) -> None:
        self._running[1].kill()  # a graceful stop waits a minute for open watches
        while self._running:
            self._running.pop().stop()

    def stop(self) -> None:
        """Stop the programs, newest first, and delete the data; the logs stay."""
        while self._running:
            self._running.pop().stop()
        shutil.rmtree(self._folder / "data", ignore_errors=True)

    def _start_storage(self) -> Process:
        clients = f"http://{LOCAL_ADDRESS}:{self._storage_port}"
        return self._start_program(
            STORAGE,
            f"--data-dir={self._folder / 'data'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls=http://{LOCAL_ADDRESS}:0",
            "--unsafe-no-fsync=true",  # a test's data need not survive a power cut
        )

    def _start_api_server(self) -> Process:
        return self._start_program(
            API_SERVER,
            f"--etcd-servers=http://{LOCAL_ADDRESS}:{self._storage_port}",
            f"--bind-address={LOCAL_ADDRESS}",
            f"--advertise-address={LOCAL_ADDRESS}",
            f"--secure-port={self._port}",
            f"--tls-cert-file={self._serving.certificate}",
            f"--tls-private-key-file={self._serving.key}",
            f"--client-ca-file={self.authority_file}",
            f"--token-auth-file={self._tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            f"--service-account-key-file={self._service_account_key}",
            f"--service-account-signing-key-file={self._service_account_key}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--endpoint-reconciler-type=none",  # a loopback address is no valid endpoint
            *self._auditing,
        )

    def _start_controllers(self) -> Process:
        kubeconfig = write_kubeconfig(
            self._folder / "controllers.kubeconfig",
            self.url,
            self.authority_file,
            _certificate_entry(self._controller_identity),
        )
        return self._start_program(
            CONTROLLERS,
            f"--kubeconfig={kubeconfig}",
            f"--bind-address={LOCAL_ADDRESS}",
            f"--secure-port={free_port()}",
            f"--controllers={','.join(CONTROLLER_NAMES)}",
            f"--root-ca-file={self.authority_file}",
            # Each controller uses its own default role, as in an installed cluster.
            "--use-service-account-credentials=true",
            "--leader-elect=false",
        )

    def _start_program(self, name: str, *arguments: str) -> Process:
        return Process([self._programs.folder / name, *arguments], self._folder / f"{name}.log")

    def _wait_until_ready(self) -> None:
        server = self._running[1]

        def ready() -> None:
            server.check_running()
            answer = self._web.request("GET", "/readyz", token=self._admin.token)
            assert answer.status == 200, server.explain(f"/readyz: {answer.text}")

        wait_until(ready, START_SECONDS, every=0.1)

    def _wait_for_controllers(self) -> None:
        controllers = self._running[2]

        def published() -> None:
            controllers.check_running()
            path = "/api/v1/namespaces/default/configmaps/kube-root-ca.crt"
            answer = self._web.request("GET", path, token=self._admin.token)
            assert answer.status == 200, controllers.explain(f"{path}: {answer.text}")

        wait_until(published, START_SECONDS, every=0.1)


def _certificate_entry(pair: KeyPair) -> dict[str, str]:
    return {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}


def _audit_into(log: Path, policy: Path) -> list[str]:
    policy.write_text(AUDIT_POLICY)
    return [f"--audit-log-path={log}", f"--audit-policy-file={policy}"]
