"""Start the cluster of a benchmark, and send its requests as the admin.

Every benchmark that needs an API server calls it. A benchmark without kube-apiserver
runs on devcluster, whose figures mean little: devcluster is Python too.
"""

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import ClientSession, TCPConnector

from configmapsync.names import API_VERSION, FINALIZER, KIND, PLURAL
from tests.support.cluster import Cluster, Kind
from tests.support.clusters import started
from tests.support.control_plane import Programs
from tests.support.users import ADMIN

CRD = Path(__file__).parents[1] / "config" / "crd"
PARALLEL = 32
SOURCES = "bench-sources"
WRITES = {"POST", "PUT", "PATCH"}
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


def usual_kind() -> Kind:
    """Return the kind of cluster that gives the most meaningful figures on this machine."""
    return "devcluster" if Programs.find() is None else "real"


class Api:
    """Sends requests to the API server, 32 at a time."""

    def __init__(self, session: ClientSession) -> None:
        """Send with a session that has the address and the credentials."""
        self.session = session

    async def send(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> Any:
        """Send a request and return the decoded response; that of a write is metadata only."""
        raw = None if body is None else msgspec.json.encode(body)
        headers = {
            "Content-Type": content_type,
            "Accept": METADATA_ONLY if method in WRITES else "application/json",
        }
        async with self.session.request(method, path, data=raw, headers=headers) as response:
            answer = await response.read()
            assert response.status < 400, f"{method} {path}: {answer.decode()[:500]}"
            return msgspec.json.decode(answer)

    async def send_all(self, requests: Iterable[tuple[str, str, object]]) -> None:
        """Send requests, each given as method, path and body."""
        waiting = iter(requests)

        async def work() -> None:
            for method, path, body in waiting:
                await self.send(method, path, body)

        await asyncio.gather(*(work() for _ in range(PARALLEL)))

    async def add_namespaces(self, names: Iterable[str], labels: dict[str, str]) -> None:
        """Create namespaces."""
        bodies = ({"metadata": {"name": name, "labels": labels}} for name in names)
        await self.send_all(("POST", "/api/v1/namespaces", body) for body in bodies)

    async def add_sources(self, names: Iterable[str], data: dict[str, str]) -> None:
        """Create ConfigMaps with the same data in the namespace of the sources."""
        bodies = ({"metadata": {"name": name}, "data": data} for name in names)
        await self.send_all(("POST", configmap_path(SOURCES), body) for body in bodies)

    async def edit_source(self, name: str, data: dict[str, str]) -> None:
        """Replace the content of a source."""
        body = {"metadata": {"name": name}, "data": data}
        await self.send("PUT", configmap_path(SOURCES, name), body)

    async def add_syncs(self, specs: dict[str, dict[str, Any]]) -> None:
        """Create syncs from specs by name, with the finalizer that the webhook adds."""
        head = {"apiVersion": API_VERSION, "kind": KIND}
        bodies = (
            {**head, "metadata": {"name": name, "finalizers": [FINALIZER]}, "spec": spec}
            for name, spec in specs.items()
        )
        await self.send_all(("POST", sync_path(SOURCES), body) for body in bodies)

    async def remove_configmaps(self, places: Iterable[tuple[str, str]]) -> None:
        """Delete ConfigMaps, each given with its namespace."""
        await self.send_all(("DELETE", configmap_path(*place), None) for place in places)

    async def syncs(self) -> list[dict[str, Any]]:
        """Return all syncs."""
        listed: list[dict[str, Any]] = (await self.send("GET", sync_path()))["items"]
        return listed

    async def all_ready(self, within: float) -> None:
        """Wait until the status of every sync says that its only copy is up to date."""
        async with asyncio.timeout(within):
            while not all(  # noqa: ASYNC110 - polls the API server
                (sync.get("status") or {}).get("summary") == "1/1" for sync in await self.syncs()
            ):
                await asyncio.sleep(0.2)


def configmap_path(namespace: str, name: str = "") -> str:
    """Return the path of a ConfigMap, or of all in a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def sync_path(namespace: str = "", name: str = "") -> str:
    """Return the path of a sync, of all in a namespace, or of all."""
    scope = f"namespaces/{namespace}/" if namespace else ""
    return f"/apis/{API_VERSION}/{scope}{PLURAL}" + (f"/{name}" if name else "")


@contextlib.asynccontextmanager
async def cluster_with_api(kind: Kind) -> AsyncIterator[tuple[Cluster, Api]]:
    """Start a cluster that serves the CRD, and stop it at the end."""
    with tempfile.TemporaryDirectory() as folder, started(kind, Path(folder)) as cluster:
        cluster.kubectl("apply", "-k", CRD)
        cluster.kubectl(
            "wait", "--for=condition=Established", f"crd/{PLURAL}.apps.nishaf.info", "--timeout=30s"
        )
        trust = (
            ssl.create_default_context(cafile=str(cluster.authority_file))
            if cluster.authority_file
            else False
        )
        headers = {"Authorization": f"Bearer {cluster.users[ADMIN].token}"}
        connector = TCPConnector(ssl=trust, limit=0)
        async with ClientSession(cluster.url, headers=headers, connector=connector) as session:
            yield cluster, Api(session)
