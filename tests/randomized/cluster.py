"""devcluster without HTTP: the same storage, rules and watches, called directly, so that a whole history takes milliseconds.

`door.py` puts it where the reconciler's connection to an API server is; `machine.py` calls it as the people who use the cluster do.
"""

import functools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import yaml

from devcluster.access.audit import AuditLog
from devcluster.access.control import Access
from devcluster.access.tokens import SigningKey
from devcluster.access.users import User
from devcluster.admission.endpoint import WebhookEndpoints
from devcluster.controllers.actor import Actor
from devcluster.controllers.namespaces import Namespaces
from devcluster.errors import ApiStatus
from devcluster.http.negotiation import negotiate
from devcluster.http.options import ListOptions
from devcluster.http.resources import Call, Resources
from devcluster.http.routes import find_route
from devcluster.schema.catalog import Catalog
from devcluster.storage.admin import put_object
from devcluster.storage.registry import Registry
from devcluster.storage.store import Object, Store
from devcluster.storage.watching import Watch

CONFIGMAPS = ("", "configmaps")
NAMESPACES = ("", "namespaces")
SYNCS = ("apps.nishaf.info", "configmapsyncs")
DEFINITION = (
    Path(__file__).parents[2] / "config" / "crd" / "bases" / "apps.nishaf.info_configmapsyncs.yaml"
)
ADMIN = User("admin", "", ("system:masters", "system:authenticated"), {})
Document = dict[str, Any]
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class InMemoryCluster:
    """One cluster, and the time of day in it."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """Begin empty.

        Args:
            seconds: the event loop's clock; the time of day follows it.
        """
        self._seconds = seconds
        self.store = Store()
        access = Access(
            self.store, {}, _signing_key(), WebhookEndpoints({}), self.now, AuditLog(None)
        )
        self._catalog = Catalog(self.store)
        self._registry = Registry(self.store, access, self.now)
        self._resources = Resources(self.store, self._catalog, self._registry, access, self.now)
        self._namespaces = Namespaces(
            Actor("namespace-controller", self.store, self._catalog, self._registry)
        )

    def now(self) -> datetime:
        """The time of day."""
        return BEGINNING + timedelta(seconds=self._seconds())

    async def begin(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Serve ConfigMapSyncs, and have these namespaces with these labels."""
        await put_object(_definition(), self._catalog, self._registry)
        for name, labels in namespaces.items():
            metadata = {"name": name, "labels": dict(labels)}
            await put_object(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
                self._catalog,
                self._registry,
            )

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str = "application/json",
        accept: str = "application/json",
        agent: str = "somebody",
    ) -> bytes:
        """Carry one request out and return the body of its answer.

        Raises:
            ApiStatus: it was refused.
        """
        route = find_route(path, self._catalog)
        call = Call(
            route,
            method,
            params or {},
            content_type,
            body,
            negotiate(accept),
            ADMIN,
            agent,
            _ignore,
        )
        return (await self._resources.answer(call)).body

    def watch(self, path: str, params: Mapping[str, str], accept: str) -> Watch:
        """Begin a watch."""
        call = Call(
            find_route(path, self._catalog),
            "GET",
            params,
            "",
            b"",
            negotiate(accept),
            ADMIN,
            "",
            _ignore,
        )
        return self._resources.watch(call, ListOptions.parse(params))

    def compact(self) -> None:
        """Forget the history, so that whoever resumes a watch has to list again."""
        self.store.compact()
        self._resources.lister.forget()

    async def end_namespaces(self) -> None:
        """Do the namespace controller's work once: empty what is terminating, and let it go when nothing is left."""
        for name in self._namespaces.begin():
            try:
                await self._namespaces.settle(name)
            except ApiStatus as refusal:
                if refusal.code not in {
                    404,
                    409,
                }:  # gone, or somebody was faster: there will be a next time
                    raise

    def find(self, key: tuple[str, str], namespace: str, name: str) -> Object | None:
        """One object as it is stored."""
        revision = self.store.get(key, namespace, name)
        return revision.object if revision else None

    def all(self, key: tuple[str, str]) -> list[Object]:
        """Every object of a kind."""
        return [revision.object for revision in self.store.items(key)]


@functools.cache
def _signing_key() -> SigningKey:
    return SigningKey.generate()


@functools.cache
def _definition() -> Document:
    """Ours, without its CEL rules: they take most of a write's time, and an older schema may have let anything through."""
    document: Document = _without_rules(yaml.safe_load(DEFINITION.read_text(encoding="utf-8")))
    return document


def _without_rules(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_rules(each) for each in part]
    if isinstance(part, dict):
        return {
            key: _without_rules(value)
            for key, value in part.items()
            if key != "x-kubernetes-validations"
        }
    return part


def encoded(document: Mapping[str, Any]) -> bytes:
    """The JSON of a document."""
    return msgspec.json.encode(document)


def _ignore(_warning: str) -> None:
    """Nobody reads warnings here."""
