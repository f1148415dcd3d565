"""Act as many tenants at once, one of which does harm as fast as it can."""

import asyncio
import random
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from configmapsync.names import (
    API_VERSION,
    KIND,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PLURAL,
    SYNC_UID_LABEL,
)
from kube.client import JSON, MERGE_PATCH
from kube.connection import Connection, ConnectionSettings
from kube.errors import ApiError
from tests.support.cluster import Cluster

PARALLEL = 16
COPIES_PATH = f"/api/v1/configmaps?labelSelector={MANAGED_BY_LABEL}%3D{MANAGED_BY_VALUE}"
PARTIAL = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
HOSTILE_SYNCS = 10
HOSTILE_NAMESPACES = 10
HOSTILE_NAMES = 20


class Sent(NamedTuple):
    """A request."""

    method: str
    path: str
    body: Any = None


def namespace(name: str, **labels: str) -> Sent:
    """Return the creation of a namespace."""
    return Sent("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})


def source(home: str, name: str, value: str = "0") -> Sent:
    """Return the creation of a ConfigMap."""
    document = {"metadata": {"name": name}, "data": {"key": value}}
    return Sent("POST", f"/api/v1/namespaces/{home}/configmaps", document)


def edit(home: str, name: str, value: str) -> Sent:
    """Return an edit of a ConfigMap."""
    return Sent("PATCH", f"/api/v1/namespaces/{home}/configmaps/{name}", {"data": {"key": value}})


def sync(home: str, name: str, **spec: Any) -> Sent:
    """Return the creation of a sync of the ConfigMap with its name."""
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name},
        "spec": {"configMapName": name, **spec},
    }
    return Sent("POST", f"/apis/{API_VERSION}/namespaces/{home}/{PLURAL}", document)


def label(namespace: str, **labels: str | None) -> Sent:
    """Return a change of a namespace's labels; None removes one."""
    return Sent("PATCH", f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


def removal(namespace: str) -> Sent:
    """Return the deletion of a namespace."""
    return Sent("DELETE", f"/api/v1/namespaces/{namespace}")


def send_all(cluster: Cluster, requests: Iterable[Sent]) -> None:
    """Send requests as the admin, as many at once as an API server in Python can use.

    Raises:
        ApiError: one was refused.
    """
    asyncio.run(_send_all(cluster, iter(requests)))


async def _send_all(cluster: Cluster, requests: Iterator[Sent]) -> None:
    async def work(connection: Connection) -> None:
        for request in requests:
            await _send(connection, request)

    async with _connect(cluster) as connection, asyncio.TaskGroup() as workers:
        for _ in range(PARALLEL):
            workers.create_task(work(connection))


def _connect(cluster: Cluster) -> AbstractAsyncContextManager[Connection]:
    settings = ConnectionSettings(
        kubeconfig=cluster.kubeconfig, disable_strict_tls=True, write_limit=PARALLEL
    )
    return Connection.open(settings)


async def _send(connection: Connection, request: Sent) -> None:
    await connection.request(
        request.method,
        request.path,
        body=None if request.body is None else msgspec.json.encode(request.body),
        content_type=MERGE_PATCH if request.method == "PATCH" else JSON,
    )


def count_copies(cluster: Cluster) -> int:
    """Return the number of copies in the cluster."""
    answer = cluster.request("GET", COPIES_PATH, accept=PARTIAL)
    return len(answer.json["items"] or [])


@dataclass
class HostileTenant:
    """Rewrites, relabels, deletes and forges in its own namespaces.

    Attributes:
        cluster: where it works.
        home: the namespace of its sources and syncs.
        there: the namespaces of its copies; the last ones do not exist at the beginning.
        sent: its requests so far.
    """

    cluster: Cluster
    home: str
    there: list[str]
    sent: int = 0

    @classmethod
    def move_in(cls, cluster: Cluster, tag: str) -> "HostileTenant":
        """Create its namespaces, sources and syncs."""
        there = [f"hostile-{tag}-{number}" for number in range(HOSTILE_NAMESPACES)]
        tenant = cls(cluster, f"hostile-{tag}", there)
        selector = {"matchLabels": {"hostile": tag}}
        send_all(cluster, [namespace(tenant.home), *(namespace(name) for name in there)])
        send_all(cluster, (source(tenant.home, _name(n)) for n in range(HOSTILE_SYNCS)))
        send_all(
            cluster,
            (
                sync(tenant.home, _name(number), destinationNamespaceSelector=selector)
                for number in range(HOSTILE_SYNCS)
            ),
        )
        return tenant

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Do harm in a thread until the end of the block."""
        enough = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._work(enough)), daemon=True)
        thread.start()
        try:
            yield
        finally:
            enough.set()
            thread.join()

    async def _work(self, enough: threading.Event) -> None:
        rng = random.Random(1)  # noqa: S311 - the choice of harm

        async def harm(connection: Connection) -> None:
            while not enough.is_set():
                with suppress(ApiError):  # it is no concern of the test what is refused
                    await _send(connection, self._next(rng))
                self.sent += 1

        async with _connect(self.cluster) as connection, asyncio.TaskGroup() as workers:
            for _ in range(PARALLEL // 2):
                workers.create_task(harm(connection))

    def _next(self, rng: random.Random) -> Sent:
        """Return the next request: each kind of harm is as likely as every other."""
        name, place = _name(rng.randrange(HOSTILE_SYNCS)), rng.choice(self.there)
        configmap = f"/api/v1/namespaces/{place}/configmaps/{name}"
        match rng.randrange(5):
            case 0:
                return edit(self.home, name, str(rng.random()))
            case 1:
                return label(place, hostile=rng.choice([self.home.removeprefix("hostile-"), None]))
            case 2:
                return Sent("DELETE", configmap)
            case 3:
                return Sent("PATCH", configmap, {"data": {"key": "rewritten"}})
            case _:
                return _forgery(place, f"forged-{rng.randrange(HOSTILE_NAMES)}", rng)


def _forgery(place: str, name: str, rng: random.Random) -> Sent:
    """Return a ConfigMap with marks of a sync that does not exist."""
    labels = {MANAGED_BY_LABEL: MANAGED_BY_VALUE, SYNC_UID_LABEL: f"uid-{rng.randrange(1000)}"}
    annotations = {"apps.nishaf.info/synced-by": f"{place}/{name}"}
    document = {"metadata": {"name": name, "labels": labels, "annotations": annotations}}
    return Sent("POST", f"/api/v1/namespaces/{place}/configmaps", document)


def _name(number: int) -> str:
    return f"config-{number}"
