"""Material in a Secret, and the webhook configurations that must trust it: the only talk of this package with a cluster.

Every write carries the resourceVersion that was read, so of two runs at once one is told to look again. `ensure.py` calls this.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from certs import bundle
from certs.material import Material, NotOursError, OutdatedError, Stored
from kube.connection import Connection
from kube.errors import AlreadyExists, Conflict, NotFound
from kube.rbac import Rule

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "configmapsync-certs"

CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1"
MUTATING = "mutatingwebhookconfigurations"
VALIDATING = "validatingwebhookconfigurations"

PUBLISHING_ATTEMPTS = 10

Document = dict[str, Any]


def secret_rules(name: str) -> tuple[Rule, ...]:
    """What is needed for the Secret of that name, in its namespace."""
    return (
        Rule("secrets", ("create",), why="a right to create cannot name what there is not yet"),
        Rule("secrets", ("get", "update"), names=(name,)),
    )


def trust_rules(name: str) -> tuple[Rule, ...]:
    """What is needed for the two webhook configurations of that name."""
    group = "admissionregistration.k8s.io"
    return tuple(Rule(kind, ("get", "update"), group=group, names=(name,)) for kind in (MUTATING, VALIDATING))


class SecretStore:
    """The `kubernetes.io/tls` Secret that the webhook mounts; the version is its resourceVersion."""

    def __init__(self, connection: Connection, namespace: str, name: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._name = name

    @property
    def place(self) -> str:
        """Where it is, in words for people."""
        return f"Secret {self._namespace}/{self._name}"

    async def load(self) -> Stored:
        """Read the Secret; where there is none, empty material.

        Raises:
            NotOursError: a Secret of that name exists and this tool did not make it.
            ApiError: the API server refused or did not answer.
        """
        try:
            secret = json.loads(await self._connection.request("GET", self._path))
        except NotFound:
            return Stored(Material(), "")
        if (secret["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
            raise NotOursError(
                f"{self.place} exists without the label {MANAGED_BY_LABEL}={MANAGED_BY}, so it is not this tool's to change; "
                "choose another name with --secret"
            )
        return _stored(secret)

    async def save(self, material: Material, version: str) -> Stored:
        """Create the Secret, or replace the one that `load` saw.

        Raises:
            OutdatedError: somebody wrote or removed it since `load`.
            ApiError: the API server refused or did not answer.
        """
        body = json.dumps(self._document(material, version)).encode()
        try:
            if version:
                answer = await self._connection.request("PUT", self._path, body=body)
            else:
                answer = await self._connection.request("POST", self._collection, body=body)
        except (AlreadyExists, Conflict, NotFound) as error:
            if isinstance(error, NotFound) and not version:
                raise  # the namespace itself is missing: looking again would not help
            raise OutdatedError from error
        return _stored(json.loads(answer))

    @property
    def _collection(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/secrets"

    @property
    def _path(self) -> str:
        return f"{self._collection}/{self._name}"

    def _document(self, material: Material, version: str) -> Document:
        metadata = {"namespace": self._namespace, "name": self._name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
        if version:
            metadata["resourceVersion"] = version
        data = {name: base64.b64encode(content).decode() for name, content in material.as_files().items()}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A webhook configuration by kind and name; `str` is how kubectl names it."""

    resource: str
    name: str

    def __str__(self) -> str:
        return f"{self.resource}/{self.name}"

    @property
    def path(self) -> str:
        """Where the API server keeps it."""
        return f"{CONFIGURATIONS}/{self.resource}/{self.name}"


class Trust:
    """The `caBundle` of every webhook in our configurations."""

    def __init__(self, connection: Connection, configurations: tuple[Configuration, ...]) -> None:
        self._connection = connection
        self._configurations = configurations

    async def publish(self, authorities: bytes, now: datetime) -> tuple[Configuration, ...]:
        """Put `authorities` first in every bundle; return the configurations that had to be changed.

        Raises:
            ApiError: a configuration is not there (yet), or the API server refused or did not answer.
        """
        return tuple(
            [
                configuration
                for configuration in self._configurations
                if await self._publish_to(configuration, authorities, now)
            ]
        )

    async def read(self) -> Mapping[Configuration, tuple[bytes, ...] | None]:
        """Return the bundles of every configuration, one for each of its webhooks; `None` where it does not exist."""
        return {configuration: await self._read(configuration) for configuration in self._configurations}

    async def _read(self, configuration: Configuration) -> tuple[bytes, ...] | None:
        try:
            document = json.loads(await self._connection.request("GET", configuration.path))
        except NotFound:
            return None
        return tuple(_bundle_of(client) for client in _client_configs(document))

    async def _publish_to(self, configuration: Configuration, authorities: bytes, now: datetime) -> bool:
        for _ in range(PUBLISHING_ATTEMPTS - 1):
            try:
                return await self._publish_once(configuration, authorities, now)
            except Conflict:
                continue  # somebody edited the configuration in between: merge into what is there now
        return await self._publish_once(configuration, authorities, now)

    async def _publish_once(self, configuration: Configuration, authorities: bytes, now: datetime) -> bool:
        document = json.loads(await self._connection.request("GET", configuration.path))
        changed = False
        for client in _client_configs(document):
            present = _bundle_of(client)
            wanted = bundle.merge(authorities, present, now)
            if wanted != present:
                client["caBundle"] = base64.b64encode(wanted).decode()
                changed = True
        if changed:
            await self._connection.request("PUT", configuration.path, body=json.dumps(document).encode())
        return changed


def _stored(secret: Document) -> Stored:
    data = {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
    return Stored(Material.from_files(data), secret["metadata"]["resourceVersion"])


def _client_configs(configuration: Document) -> Iterator[Document]:
    for webhook in configuration.get("webhooks") or ():
        yield webhook["clientConfig"]


def _bundle_of(client: Document) -> bytes:
    return base64.b64decode(client.get("caBundle") or "")
