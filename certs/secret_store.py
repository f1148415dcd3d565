"""Store the material in two Secrets.

`ensure.py` calls this module. Every write carries the resourceVersion that was read, so
the slower of two runs gets a conflict and reads again. The Secret of the CA must never
be mounted by a pod.
"""

import base64
from typing import Any

import msgspec

from certs.material import Files, ForeignObjectError, Material, OutdatedError, Part, Stored
from kube.client import SECRETS, Client
from kube.errors import AlreadyExists, Conflict, NotFound
from kube.rbac import Rule
from kube.wire import decode_shaped

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "configmapsync-certs"

Document = dict[str, Any]


class _Labelled(msgspec.Struct, rename="camel"):
    resource_version: str
    labels: dict[str, str] | None = None


class _SecretShape(msgspec.Struct):
    """The fields of a Secret that are read. msgspec decodes `bytes` from base64."""

    metadata: _Labelled
    data: dict[str, bytes] | None = None


def secret_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules for the Secret of that name, in its namespace."""
    return (
        Rule("secrets", ("create",), why="a rule for create cannot name an object"),
        Rule("secrets", ("get", "update"), names=(name,)),
    )


class SecretStore:
    """Keeps the material in two Secrets.

    One holds the CA, for this tool alone; the webhook mounts the other, of type
    `kubernetes.io/tls`.
    """

    def __init__(self, client: Client, namespace: str, name: str, authority_name: str) -> None:
        self._serving = _Secret(client, namespace, name, "kubernetes.io/tls", "--secret")
        self._authority = _Secret(client, namespace, authority_name, "Opaque", "--ca-secret")

    @property
    def location(self) -> str:
        """Return both Secrets in words, for log lines and messages."""
        return f"{self._authority} and {self._serving}"

    async def load(self) -> Stored:
        """Read both Secrets.

        Up to version 0.1.0, the serving Secret held the key of the CA. While the other Secret
        does not exist, that CA is the current one; the next two writes move it.

        Raises:
            ForeignObjectError: a Secret of that name exists and this tool did not create it.
            ApiError: the API server returned an error or did not answer.
        """
        authority, serving = await self._authority.load(), await self._serving.load()
        return Stored(
            Material.from_files(authority.files or serving.files, serving.files), authority, serving
        )

    async def save_authority(self, material: Material, stored: Stored) -> Stored:
        """Create or replace the Secret of the CA.

        Raises:
            OutdatedError: another run wrote or deleted it since `load`.
            ApiError: the API server returned an error or did not answer.
        """
        saved = await self._authority.save(material.authority_files(), stored.authority.version)
        return Stored(material, saved, stored.serving)

    async def save_serving(self, material: Material, stored: Stored) -> Stored:
        """Create or replace the Secret that the webhook mounts; raises as `save_authority`."""
        saved = await self._serving.save(material.serving_files(), stored.serving.version)
        return Stored(material, stored.authority, saved)


class _Secret:
    """One of the two Secrets."""

    def __init__(self, client: Client, namespace: str, name: str, type_: str, flag: str) -> None:
        self._client = client
        self._namespace = namespace
        self._name = name
        self._type = type_
        self._flag = flag

    def __str__(self) -> str:
        return f"Secret {self._namespace}/{self._name}"

    async def load(self) -> Part:
        try:
            answer = await self._client.get(SECRETS, self._namespace, self._name)
        except NotFound:
            return Part()
        secret = self._decoded(answer)
        if (secret["metadata"].get("labels") or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
            raise ForeignObjectError(
                f"{self} exists without the label {MANAGED_BY_LABEL}={MANAGED_BY}, "
                f"so this tool does not change it; choose another name with {self._flag}"
            )
        return _part(secret)

    async def save(self, files: Files, version: str) -> Part:
        document = self._document(files, version)
        try:
            if version:
                answer = await self._client.put(SECRETS, self._namespace, self._name, document)
            else:
                answer = await self._client.create(SECRETS, self._namespace, document)
        except (AlreadyExists, Conflict, NotFound) as error:
            if isinstance(error, NotFound) and not version:
                # The namespace does not exist, and a retry would not help.
                raise
            raise OutdatedError from error
        return _part(self._decoded(answer))

    def _decoded(self, answer: bytes) -> Document:
        return decode_shaped(answer, _SecretShape, f"the {self}")

    def _document(self, files: Files, version: str) -> Document:
        metadata = {
            "namespace": self._namespace,
            "name": self._name,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        }
        if version:
            metadata["resourceVersion"] = version
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": metadata,
            "type": self._type,
            "data": data,
        }


def _part(secret: Document) -> Part:
    data = {name: base64.b64decode(text) for name, text in (secret.get("data") or {}).items()}
    return Part(secret["metadata"]["resourceVersion"], data)
