"""Call devcluster's storage, rules and watches directly, without HTTP.

A whole run then takes milliseconds. `fake_connection.py` calls it for the reconciler,
and `machine.py` for the users of the cluster.
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
from devcluster.access.reviews import subject_access_review
from devcluster.access.tokens import SigningKey
from devcluster.access.users import User
from devcluster.admission.endpoint import WebhookEndpoints
from devcluster.controllers.actor import Actor
from devcluster.controllers.namespaces import Namespaces
from devcluster.errors import ApiStatus
from devcluster.http.calls import Call
from devcluster.http.negotiation import negotiate
from devcluster.http.options import ListOptions
from devcluster.http.resources import Resources
from devcluster.http.routes import find_route
from devcluster.schema.catalog import Catalog
from devcluster.storage.admin import put_object
from devcluster.storage.registry import Registry
from devcluster.storage.store import Object, Store
from devcluster.storage.watching import Watch

CONFIGMAPS = ("", "configmaps")
NAMESPACES = ("", "namespaces")
SYNCS = ("apps.nishaf.info", "configmapsyncs")
REVIEWS_PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
DEFINITION = (
    Path(__file__).parents[2] / "config" / "crd" / "bases" / "apps.nishaf.info_configmapsyncs.yaml"
)
ADMIN = User("admin", "", ("system:masters", "system:authenticated"), {})
Document = dict[str, Any]
BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


class InMemoryCluster:
    """A cluster and its virtual time of day."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        """Create an empty cluster.

        Args:
            seconds: the event loop's clock; the time of day follows it.
        """
        self._seconds = seconds
        self.store = Store()
        self.agent = ""  # of the last request
        self._access = access = Access(
            self.store, {}, _signing_key(), WebhookEndpoints({}), self.now, AuditLog(None)
        )
        self._catalog = Catalog(self.store)
        self._registry = Registry(self.store, access, self.now)
        self._resources = Resources(self.store, self._catalog, self._registry, access, self.now)
        self._namespaces = Namespaces(
            Actor("namespace-controller", self.store, self._catalog, self._registry)
        )

    def now(self) -> datetime:
        """Return the time of day."""
        return BEGINNING + timedelta(seconds=self._seconds())

    async def begin(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Install the CRD and create namespaces with these labels."""
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
        agent: str = "another-tool",
    ) -> bytes:
        """Carry out one request and return the body of its answer.

        Raises:
            ApiStatus: the cluster refused it.
        """
        if path == REVIEWS_PATH:
            review = msgspec.json.decode(body)
            return encoded(subject_access_review(self._access.authorizer, review))
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
        self.agent = agent  # no await in the cluster waits for another task
        return (await self._resources.answer(call)).body

    def watch(self, path: str, params: Mapping[str, str], accept: str) -> Watch:
        """Start a watch."""
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
        """Compact the history, so that a client that resumes a watch has to list again."""
        self.store.compact()
        self._resources.lister.forget()

    async def end_namespaces(self) -> None:
        """Run the namespace controller once: empty terminating namespaces and remove empty ones."""
        for name in self._namespaces.begin():
            try:
                await self._namespaces.settle(name)
            except ApiStatus as refusal:
                # Gone, or another write was faster: the next call retries.
                if refusal.code not in {
                    404,
                    409,
                }:
                    raise

    def find(self, kind: tuple[str, str], namespace: str, name: str) -> Object | None:
        """Return one stored object."""
        revision = self.store.get(kind, namespace, name)
        return revision.object if revision else None

    def all(self, kind: tuple[str, str]) -> list[Object]:
        """Return every object of a kind."""
        return [revision.object for revision in self.store.items(kind)]


@functools.cache
def _signing_key() -> SigningKey:
    return SigningKey.generate()


@functools.cache
def _definition() -> Document:
    """Return the CRD without its CEL rules.

    The rules take most of a write's time, and an older schema may have admitted any object.
    """
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
    """Return the JSON of a document."""
    return msgspec.json.encode(document)


def _ignore(_warning: str) -> None:
    """Drop a warning, because no user reads it."""
