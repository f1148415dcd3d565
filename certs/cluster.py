"""Store the material in two Secrets, and publish it in the webhook configurations.

`ensure.py` calls this module. Every write carries the resourceVersion that was read, so
the slower of two runs gets a conflict and reads again. `pods.py` finds out which pods
serve the material.
"""

import base64
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from certs import bundle
from certs.material import (
    PATH_TOKEN_FORM,
    Files,
    Material,
    NotOursError,
    OutdatedError,
    Part,
    Published,
    Stored,
)
from kube.client import MUTATING_WEBHOOKS, SECRETS, VALIDATING_WEBHOOKS, Client, Kind
from kube.errors import AlreadyExists, ApiError, Conflict, NotFound, Retry
from kube.rbac import Rule
from kube.wire import decode_shaped

MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "configmapsync-certs"

PATHS = {
    MUTATING_WEBHOOKS: "/mutate-apps-nishaf-info-v1-configmapsync",
    VALIDATING_WEBHOOKS: "/validate-apps-nishaf-info-v1-configmapsync",
}

WRITE_ATTEMPTS = 10

Document = dict[str, Any]


class _Labelled(msgspec.Struct, rename="camel"):
    resource_version: str
    labels: dict[str, str] | None = None


class _SecretShape(msgspec.Struct):
    """The fields of a Secret that are read. msgspec decodes `bytes` from base64."""

    metadata: _Labelled
    data: dict[str, bytes] | None = None


class _ServiceShape(msgspec.Struct):
    path: str | None = None


class _ClientShape(msgspec.Struct, rename="camel"):
    ca_bundle: bytes | None = None
    url: str | msgspec.UnsetType = msgspec.UNSET
    service: _ServiceShape | msgspec.UnsetType = msgspec.UNSET


class _WebhookShape(msgspec.Struct, rename="camel"):
    client_config: _ClientShape


class _ConfigurationShape(msgspec.Struct):
    """The fields of a webhook configuration that are read."""

    webhooks: list[_WebhookShape] | None = None


def secret_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules for the Secret of that name, in its namespace."""
    return (
        Rule("secrets", ("create",), why="a rule for create cannot name an object"),
        Rule("secrets", ("get", "update"), names=(name,)),
    )


def trust_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules for the two webhook configurations of that name."""
    return tuple(
        Rule(kind.plural, ("get", "update"), group=kind.group, names=(name,)) for kind in PATHS
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
    def place(self) -> str:
        """Return both Secrets in words, for log lines and messages."""
        return f"{self._authority} and {self._serving}"

    async def load(self) -> Stored:
        """Read both Secrets.

        Up to version 0.1.0, the serving Secret held the key of the CA. While the other Secret
        does not exist, that CA is the current one; the next two writes move it.

        Raises:
            NotOursError: a Secret of that name exists and this tool did not create it.
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
            raise NotOursError(
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


@dataclass(frozen=True, slots=True)
class Configuration:
    """A webhook configuration by resource and name; `str` returns the form of kubectl."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.plural}/{self.name}"


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The client configuration of one webhook.

    Attributes:
        bundle: the CAs that the API server trusts.
        path_is_ours: whether the path is missing, or one that this tool writes.
        token: the first segment of the path; empty for the plain path, None for a missing or
            another path.
    """

    bundle: bytes
    path_is_ours: bool
    token: bytes | None = field(repr=False)


class Trust:
    """The `caBundle` and the path of each webhook in the webhook configurations."""

    def __init__(self, client: Client, configurations: tuple[Configuration, ...]) -> None:
        self._client = client
        self._configurations = configurations

    async def publish(
        self, authorities: bytes, without: bytes, now: datetime
    ) -> tuple[Configuration, ...]:
        """Put `authorities` first in every bundle, and drop the CAs of `without`.

        Returns:
            The configurations that changed.

        Raises:
            ApiError: a configuration does not exist (yet), or the API server returned an error
                or did not answer.
        """

        def change(_: Configuration, client: Document) -> None:
            present = _bundle_of(client)
            wanted = bundle.merge(authorities, present, now, without)
            if wanted != present:
                client["caBundle"] = base64.b64encode(wanted).decode()

        return tuple([one for one in self._configurations if await self._update(one, change)])

    async def publish_path(
        self, token: bytes, *, only_missing: bool = False
    ) -> tuple[Configuration, ...]:
        """Put the token before the path of every webhook with a path of this tool.

        Args:
            token: the first segment of the path; empty for the plain path.
            only_missing: leave paths that exist.

        Returns:
            The configurations that changed.

        Raises:
            ApiError: a configuration does not exist (yet), or the API server returned an error
                or did not answer.
        """

        def change(configuration: Configuration, client: Document) -> None:
            present = _client(configuration, client)
            if (
                present.path_is_ours
                and present.token != token
                and (present.token is None or not only_missing)
            ):
                prefix = f"/{token.decode()}" if token else ""
                _set_path(client, prefix + PATHS[configuration.kind])

        return tuple([one for one in self._configurations if await self._update(one, change)])

    async def read(self) -> Mapping[Configuration, tuple[ClientConfig, ...] | None]:
        """Return the clients of each configuration; None for one that does not exist."""
        return {
            configuration: await self._read(configuration) for configuration in self._configurations
        }

    async def seen(self) -> Published:
        """Return the bundles and tokens of all configurations."""
        clients = [client for found in (await self.read()).values() for client in found or ()]
        return Published(
            bundles=b"".join(client.bundle for client in clients),
            tokens=frozenset(client.token for client in clients if client.path_is_ours),
        )

    async def _read(self, configuration: Configuration) -> tuple[ClientConfig, ...] | None:
        try:
            document = await self._get(configuration)
        except NotFound:
            return None
        return tuple(_client(configuration, client) for client in _client_configs(document))

    async def _get(self, configuration: Configuration) -> Document:
        answer = await self._client.get(configuration.kind, "", configuration.name)
        return decode_shaped(answer, _ConfigurationShape, f"the {configuration}")

    async def _update(
        self, configuration: Configuration, change: Callable[[Configuration, Document], None]
    ) -> bool:
        for _ in range(WRITE_ATTEMPTS - 1):
            try:
                return await self._update_once(configuration, change)
            except ApiError as error:
                if error.retry is not Retry.SOON:
                    raise
        return await self._update_once(configuration, change)

    async def _update_once(
        self, configuration: Configuration, change: Callable[[Configuration, Document], None]
    ) -> bool:
        document = await self._get(configuration)
        before = copy.deepcopy(document)
        for client in _client_configs(document):
            change(configuration, client)
        if document == before:
            return False
        await self._client.put(configuration.kind, "", configuration.name, document)
        return True


def _client_configs(configuration: Document) -> Iterator[Document]:
    for webhook in configuration.get("webhooks") or ():
        yield webhook["clientConfig"]


def _bundle_of(client: Document) -> bytes:
    return base64.b64decode(client.get("caBundle") or "")


def _client(configuration: Configuration, client: Document) -> ClientConfig:
    path, plain = _path_of(client), PATHS[configuration.kind]
    if path in ("", "/"):
        return ClientConfig(_bundle_of(client), path_is_ours=True, token=None)
    token = path.removesuffix(plain).removeprefix("/").encode()
    ours = path.endswith(plain) and (not token or PATH_TOKEN_FORM.fullmatch(token) is not None)
    return ClientConfig(_bundle_of(client), path_is_ours=ours, token=token if ours else None)


def _path_of(client: Document) -> str:
    if "url" in client:
        return urlsplit(client["url"]).path
    return str(client.get("service", {}).get("path") or "")


def _set_path(client: Document, path: str) -> None:
    if "url" in client:
        client["url"] = urlunsplit(urlsplit(client["url"])._replace(path=path))
    else:
        client["service"]["path"] = path
