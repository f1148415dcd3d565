"""Start an API server in memory and connect to it, for the exercises."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import structlog

from devcluster.app import Options, Running, serve
from kube.client import CONFIGMAPS, Client
from kube.connection import Connection, ConnectionSettings

NAMESPACE = "default"


class Cluster:
    """An API server in memory, and a client of it."""

    def __init__(self, running: Running, connection: Connection, kubeconfig: Path) -> None:
        self.running = running
        self.connection = connection
        self.client = Client(connection)
        self.kubeconfig = kubeconfig

    async def create(self, name: str, **data: str) -> None:
        """Create a ConfigMap."""
        await self.client.create(CONFIGMAPS, NAMESPACE, {"metadata": {"name": name}, "data": data})

    async def edit(self, name: str, **data: str) -> None:
        """Merge `data` into a ConfigMap."""
        await self.client.patch(CONFIGMAPS, NAMESPACE, name, {"data": data})

    async def label(self, name: str, key: str) -> str | None:
        """Return a label of a ConfigMap."""
        found = await self.client.get(CONFIGMAPS, NAMESPACE, name)
        labels: dict[str, str] = msgspec.json.decode(found)["metadata"].get("labels", {})
        return labels.get(key)


@asynccontextmanager
async def cluster(*manifests: Path) -> AsyncIterator[Cluster]:
    """Serve until the block ends; `manifests` are applied first. Logs go to stderr."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    with TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        options = Options(port=0, kubeconfig=kubeconfig, manifests=manifests)
        async with (
            serve(options, lambda: datetime.now(UTC)) as running,  # noqa: TID251 - tokens expire
            Connection.open(ConnectionSettings(kubeconfig=kubeconfig)) as connection,
        ):
            yield Cluster(running, connection, kubeconfig)
