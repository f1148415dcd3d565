"""Store the material in two Secrets.

`__main__.py` builds the store for `ensure.py` and for `inspect`. Every write carries
the resourceVersion that was read, so the slower of two runs gets a conflict and reads
again. The Secret of the CA must never be mounted by a pod.
"""

from dataclasses import dataclass

import msgspec

from certs.material import Files, ForeignObjectError, Material, OutdatedError, Part, Stored
from kube.client import SECRETS, Client
from kube.errors import AlreadyExists, Conflict, NotFound
from kube.rbac import Rule
from kube.wire import ObjectMeta, decode_as

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "configmapsync-certs"


class _Stored(msgspec.Struct):
    """The fields of a Secret that are read. msgspec decodes `bytes` from base64."""

    metadata: ObjectMeta
    data: dict[str, bytes] | None = None

    @property
    def part(self) -> Part:
        return Part(self.metadata.resource_version, self.data or {})


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


@dataclass(frozen=True, slots=True)
class _Secret:
    """One of the two Secrets; `flag` is the one that names it."""

    client: Client
    namespace: str
    name: str
    type: str
    flag: str

    def __str__(self) -> str:
        return f"Secret {self.namespace}/{self.name}"

    async def load(self) -> Part:
        try:
            secret = self._decoded(await self.client.get(SECRETS, self.namespace, self.name))
        except NotFound:
            return Part()
        if (secret.metadata.labels or {}).get(MANAGED_BY_LABEL) != MANAGED_BY:
            raise ForeignObjectError(
                f"{self} exists without the label {MANAGED_BY_LABEL}={MANAGED_BY}, "
                f"so this tool does not change it; choose another name with {self.flag}"
            )
        return secret.part

    async def save(self, files: Files, version: str) -> Part:
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "namespace": self.namespace,
                "name": self.name,
                "labels": {MANAGED_BY_LABEL: MANAGED_BY},
                # Without a version this is a create.
                **({"resourceVersion": version} if version else {}),
            },
            "type": self.type,
            "data": files,
        }
        # A create in a namespace that does not exist fails with NotFound; a retry would not help.
        outdated = (Conflict, NotFound) if version else (Conflict, AlreadyExists)
        try:
            if version:
                answer = await self.client.put(SECRETS, self.namespace, self.name, document)
            else:
                answer = await self.client.create(SECRETS, self.namespace, document)
        except outdated as error:
            raise OutdatedError from error
        return self._decoded(answer).part

    def _decoded(self, answer: bytes) -> _Stored:
        return decode_as(answer, _Stored, f"the {self}")
