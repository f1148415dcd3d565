"""Serve the page over caches that a test fills, without an API server."""

import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import aiohttp
import msgspec

from configmapsync.content import Content, digest
from configmapsync.names import (
    DESTINATION,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    SYNC_UID_LABEL,
    SYNCED_BY,
)
from kube.client import ApiServer, Client
from kube.events import EventRecorder
from kube.leader_election import Elector
from kube.wire import event_of
from reconciler.known.caches import Caches
from reconciler.page.server import PageServer
from runtime.settings import Address

DATA = {"key": "value that no answer may contain"}
DIGEST = digest(Content(DATA, {}))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeElector:
    """A candidate for a Lease."""

    leading: bool = True
    holder: str = "pod-1_1234"
    problem: Exception | None = None


@dataclass
class Answer:
    """An answer of the page."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """Return the decoded body."""
        return json.loads(self.text)


@dataclass
class Bench:
    """A page, and the caches that it reads.

    Attributes:
        server: the page.
        caches: what it reads.
        events: where the reconciler emits events.
        address: where the page listens.
    """

    server: PageServer
    caches: Caches
    events: EventRecorder
    address: Address
    session: aiohttp.ClientSession
    versions: int = field(default=1)

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """Send one request to the page."""
        url = f"http://{self.address}{path}"
        async with self.session.request(method, url, headers=headers) as answer:
            return Answer(answer.status, answer.headers.copy(), await answer.text())

    async def json(self, path: str) -> Any:
        """Return the answer to a request that must succeed."""
        answer = await self.get(path)
        assert answer.status == 200, answer
        return answer.json

    def put_sync(self, namespace: str, name: str, **parts: Any) -> None:
        """Let the watch bring a sync; `status` and `spec` replace the defaults."""
        self.caches.syncs.changed(
            event_of("ADDED", raw(self.sync_object(namespace, name, **parts)))
        )

    def put_copy(self, namespace: str, name: str, sync: str, **parts: Any) -> None:
        """Let the watch bring a copy of a sync."""
        self.caches.copies.changed(
            event_of("ADDED", raw(self.copy_object(namespace, name, sync, **parts)))
        )

    def put_namespace(self, name: str) -> None:
        """Let the watch bring a namespace."""
        self.versions += 1
        metadata = {"name": name, "uid": f"uid-{name}", "resourceVersion": str(self.versions)}
        self.caches.namespaces.changed(event_of("ADDED", raw({"metadata": metadata})))

    def sync_object(self, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
        """Return a sync with one destination per default."""
        self.versions += 1
        spec = {
            "configMapName": "config",
            "destinationNamespaces": ["web"],
            **parts.pop("spec", {}),
        }
        return {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"uid-{namespace}-{name}",
                "resourceVersion": str(self.versions),
                "generation": 1,
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **parts.pop("metadata", {}),
            },
            "spec": spec,
            "status": parts.pop("status", ready()),
            **parts,
        }

    def copy_object(
        self,
        namespace: str,
        name: str,
        sync: str,
        *,
        data: Mapping[str, str] | None = None,
        uid: str | None = None,
        **annotations: str,
    ) -> dict[str, Any]:
        """Return a copy with the marks of a sync."""
        self.versions += 1
        return {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "uid": f"uid-{namespace}-{name}",
                "resourceVersion": str(self.versions),
                "labels": {
                    MANAGED_BY_LABEL: MANAGED_BY_VALUE,
                    SYNC_UID_LABEL: uid or f"uid-{sync.replace('/', '-')}",
                },
                "annotations": {
                    SYNCED_BY: sync,
                    DESTINATION: f"{namespace}/{name}",
                    **annotations,
                },
            },
            "data": dict(data or DATA),
        }


def ready(
    reason: str = "Synced",
    message: str = "",
    *,
    desired: int = 1,
    synced: int = 1,
    failures: Sequence[Mapping[str, str]] = (),
    **parts: Any,
) -> dict[str, Any]:
    """Return a status with that Ready condition."""
    return {
        "observedGeneration": 1,
        "conditions": [
            {
                "type": "Ready",
                "status": "True" if reason in {"Synced", "Suspended"} else "False",
                "reason": reason,
                "message": message,
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
        ],
        "source": {"resourceVersion": "1", "digest": DIGEST},
        "destinations": {"desired": desired, "synced": synced, "failed": len(failures)},
        "summary": f"{synced}/{desired}",
        "failures": list(failures),
        **parts,
    }


def raw(document: object) -> msgspec.Raw:
    """Return an object as the watch brings it."""
    return msgspec.Raw(json.dumps(document).encode())


@asynccontextmanager
async def serving(
    elector: FakeElector | None = None, *, synced: bool = True
) -> AsyncIterator[Bench]:
    """Serve a page over empty caches."""
    nothing = cast("ApiServer", object())
    caches = Caches(nothing, frozenset({"kube-system"}), random.Random(1))  # noqa: S311 - jitter
    events = EventRecorder(
        Client(nothing), component="configmapsync", instance="test", clock=lambda: NOW
    )
    if synced:
        for informer in caches.all.values():
            informer.list_began(1)
            informer.list_complete(1)
    server = PageServer(Address("127.0.0.1", 0), caches, cast("Elector | None", elector), events)
    address = await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Bench(server, caches, events, address, session)
    finally:
        await server.close()
