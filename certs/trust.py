"""Publish the CA and the path in the webhook configurations, and read what they hold.

`ensure.py` publishes with it, and `__main__.py` reads with it for `inspection.py`. It
changes only `caBundle` and the path of each webhook; `config/certs/policy.yaml` limits
the tool to these fields.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from certs import bundle
from certs.material import PATH_TOKEN_FORM
from kube.client import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Client, Kind
from kube.errors import Conflict, NotFound
from kube.rbac import Rule
from kube.wire import decode_as

PATHS = {
    MUTATING_WEBHOOKS: "/mutate-apps-nishaf-info-v1-configmapsync",
    VALIDATING_WEBHOOKS: "/validate-apps-nishaf-info-v1-configmapsync",
}

WRITE_ATTEMPTS = 10

Document = dict[str, Any]


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


def trust_rules(name: str) -> tuple[Rule, ...]:
    """Return the rules for the two webhook configurations of that name."""
    return tuple(
        Rule(kind.plural, ("get", "update"), group=kind.group, names=(name,)) for kind in PATHS
    )


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
        path_is_managed: whether the path is missing, or one that this tool writes.
        token: the first segment of the path; empty for the plain path, None for a missing or
            another path.
    """

    bundle: bytes
    path_is_managed: bool
    token: bytes | None = field(repr=False)


class Trust:
    """The `caBundle` and the path of each webhook in the webhook configurations."""

    def __init__(self, client: Client, configurations: tuple[Configuration, ...]) -> None:
        self._client = client
        self._configurations = configurations

    async def publish(
        self, authorities: bytes, without: bytes, now: datetime
    ) -> list[Configuration]:
        """Put `authorities` first in every bundle, and drop the CAs of `without`.

        Returns:
            The configurations that changed.

        Raises:
            ApiError: a configuration does not exist (yet), or the API server returned an error
                or did not answer.
        """

        def change(_: Configuration, client: Document) -> bool:
            present = _bundle_of(client)
            wanted = bundle.merge(authorities, present, now, without)
            client["caBundle"] = base64.b64encode(wanted).decode()
            return wanted != present

        return await self._update(change)

    async def publish_path(
        self, token: bytes, *, only_missing: bool = False
    ) -> list[Configuration]:
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

        def change(configuration: Configuration, client: Document) -> bool:
            present = _client(configuration, client)
            due = present.token is None or (present.token != token and not only_missing)
            if present.path_is_managed and due:
                prefix = f"/{token.decode()}" if token else ""
                _set_path(client, prefix + PATHS[configuration.kind])
            return present.path_is_managed and due

        return await self._update(change)

    async def read(self) -> Mapping[Configuration, tuple[ClientConfig, ...] | None]:
        """Return the client configurations of each configuration; None if it does not exist."""
        return {
            configuration: await self._read(configuration) for configuration in self._configurations
        }

    async def bundles(self) -> bytes:
        """Return the CA bundles of all configurations, concatenated."""
        return b"".join(client.bundle for client in await self._clients())

    async def tokens(self) -> frozenset[bytes | None]:
        """Return the tokens of the paths of this tool; None is a webhook without a path."""
        return frozenset(client.token for client in await self._clients() if client.path_is_managed)

    async def _clients(self) -> list[ClientConfig]:
        return [client for found in (await self.read()).values() for client in found or ()]

    async def _read(self, configuration: Configuration) -> tuple[ClientConfig, ...] | None:
        try:
            document = await self._get(configuration)
        except NotFound:
            return None
        return tuple(_client(configuration, client) for client in _client_configs(document))

    async def _get(self, configuration: Configuration) -> Document:
        answer = await self._client.get(configuration.kind, "", configuration.name)
        decode_as(answer, _ConfigurationShape, f"the {configuration}")
        return decode_as(answer, dict[str, Any], f"the {configuration}")

    async def _update(
        self, change: Callable[[Configuration, Document], bool]
    ) -> list[Configuration]:
        """Apply `change` to each webhook; return the configurations that it changed."""
        return [one for one in self._configurations if await self._update_one(one, change)]

    async def _update_one(
        self, configuration: Configuration, change: Callable[[Configuration, Document], bool]
    ) -> bool:
        attempt = 1
        while True:
            document = await self._get(configuration)
            changed = [change(configuration, client) for client in _client_configs(document)]
            if not any(changed):
                return False
            try:
                await self._client.put(configuration.kind, "", configuration.name, document)
            except Conflict:
                if attempt == WRITE_ATTEMPTS:
                    raise
                attempt += 1
            else:
                return True


def _client_configs(configuration: Document) -> Iterator[Document]:
    for webhook in configuration.get("webhooks") or ():
        yield webhook["clientConfig"]


def _bundle_of(client: Document) -> bytes:
    return base64.b64decode(client.get("caBundle") or "")


def _client(configuration: Configuration, client: Document) -> ClientConfig:
    path, plain = _path_of(client), PATHS[configuration.kind]
    token = None
    if path.endswith(plain):
        prefix = path.removesuffix(plain).removeprefix("/").encode()
        token = prefix if not prefix or PATH_TOKEN_FORM.fullmatch(prefix) else None
    is_managed = token is not None or path in ("", "/")
    return ClientConfig(_bundle_of(client), is_managed, token)


def _path_of(client: Document) -> str:
    if "url" in client:
        return urlsplit(client["url"]).path
    return str(client.get("service", {}).get("path") or "")


def _set_path(client: Document, path: str) -> None:
    if "url" in client:
        client["url"] = urlunsplit(urlsplit(client["url"])._replace(path=path))
    else:
        client["service"]["path"] = path
