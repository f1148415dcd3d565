"""The interface of every test cluster: kubectl, HTTP requests, namespaces, kubeconfigs.

`clusters.py` creates it. It must not know the domain's resources, and it must work on a
cluster that others use: its namespaces have unique names and are removed at the end.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.control_plane import ControlPlane
from tests.support.devcluster import DevCluster
from tests.support.existing import ExistingCluster
from tests.support.kubectl import Kubectl
from tests.support.users import ADMIN, User, write_kubeconfig
from tests.support.web import Answer, Web

Kind = Literal["devcluster", "real", "existing"]
NAMESPACES = "/api/v1/namespaces"


class UnexpectedAnswerError(AssertionError):
    """The API server did not return the answer that the test needs to continue."""


@dataclass
class Cluster:
    """An API server and the clients that reach it."""

    kind: Kind
    url: str
    authority_file: Path | None
    folder: Path
    users: Mapping[str, User]
    kubeconfig: Path
    server: ControlPlane | DevCluster | ExistingCluster
    has_controllers: bool = True
    own_namespaces: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Create the objects that the clients share."""
        self._web = Web(self.url, self.authority_file)
        self._kubectl = Kubectl(self.kubeconfig, self.folder / "kubectl-cache")

    @property
    def is_real(self) -> bool:
        """Return whether the server is a kube-apiserver, not devcluster."""
        return self.kind != "devcluster"

    @property
    def kubectl(self) -> Kubectl:
        """The admin's kubectl: `cluster.kubectl("get", "ns")`."""
        return self._kubectl

    def kubectl_as(self, user: str) -> Kubectl:
        """Return the kubectl of alice or bob."""
        return Kubectl(self.kubeconfig_for(user), self.folder / f"kubectl-cache-{user}")

    def kubeconfig_for(self, user: str) -> Path:
        """Return a kubeconfig of that user; skip the test if the cluster has no test users."""
        if user not in self.users:
            pytest.skip(f"the {self.kind} cluster has no user {user}")
        path = self.folder / f"{user}.kubeconfig"
        return write_kubeconfig(
            path, self.url, self.authority_file, {"token": self.users[user].token}
        )

    def kubeconfig_for_account(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig with a fresh token of a ServiceAccount."""
        path = self.folder / f"{namespace}.{name}.kubeconfig"
        return write_kubeconfig(
            path, self.url, self.authority_file, {"token": self.token_of_account(namespace, name)}
        )

    def token_of_account(self, namespace: str, name: str) -> str:
        """Request a token of a ServiceAccount, as a kubelet does for a pod."""
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        answer = self.create(f"{NAMESPACES}/{namespace}/serviceaccounts/{name}/token", request)
        return str(answer["status"]["token"])

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = ADMIN,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Answer:
        """Send one request as that user and return any answer."""
        token = self.users[user].token if user in self.users else None
        return self._web.request(
            method, path, body, token=token, content_type=content_type, accept=accept
        )

    def request_until_closed(self, method: str, path: str, body: object) -> None:
        """Send one request as the admin, and wait until the server closes the connection."""
        self._web.request_until_closed(method, path, body, token=self.users[ADMIN].token)

    def get(self, path: str) -> Any:
        """Return the object or list at that path."""
        return self._succeed(self.request("GET", path), f"GET {path}").json

    def find(self, path: str) -> Any | None:
        """Return the object at that path, or None if there is none."""
        answer = self.request("GET", path)
        return None if answer.status == 404 else self._succeed(answer, f"GET {path}").json

    def create(self, path: str, document: object) -> Any:
        """POST to a collection and return the stored object."""
        return self._succeed(self.request("POST", path, document), f"POST {path}").json

    def replace(self, path: str, document: object) -> Any:
        """PUT an object and return the stored object."""
        return self._succeed(self.request("PUT", path, document), f"PUT {path}").json

    def patch(
        self, path: str, patch: object, content_type: str = "application/merge-patch+json"
    ) -> Any:
        """PATCH an object, by default with a merge patch, and return the stored object."""
        return self._succeed(
            self.request("PATCH", path, patch, content_type=content_type), f"PATCH {path}"
        ).json

    def delete(self, path: str, options: object = None) -> None:
        """DELETE an object; a missing object is no error."""
        answer = self.request("DELETE", path, options)
        if answer.status != 404:
            self._succeed(answer, f"DELETE {path}")

    def new_namespace(self, prefix: str = "test", labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace that no other test has, and return its name."""
        return self.add_namespace(f"{prefix}-{secrets.token_hex(4)}", labels)

    def add_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Create a namespace of that name, which `remove_namespaces` removes again."""
        document = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": dict(labels or {})},
        }
        self.create(NAMESPACES, document)
        self.remove_later(name)
        return name

    def remove_later(self, namespace: str) -> None:
        """Let `remove_namespaces` delete a namespace that the test creates by other means."""
        self.own_namespaces.append(namespace)

    def remove_namespaces(self) -> None:
        """Delete all own namespaces, without waiting for the end."""
        while self.own_namespaces:
            self.delete(f"{NAMESPACES}/{self.own_namespaces.pop()}")

    @staticmethod
    def _succeed(answer: Answer, what: str) -> Answer:
        if not 200 <= answer.status < 300:
            raise UnexpectedAnswerError(f"{what}: {answer.status} {answer.text}")
        return answer
