"""The process is ready when a request would be answered, and not before."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry

from certs.authority import new_authority, new_serving_pair
from kube.connection import Connection, ConnectionSettings
from tests.journeys.conftest import install_crd
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.processes import LOCAL_ADDRESS, free_port
from webhook.app import Webhook
from webhook.server import WebhookServer
from webhook.settings import Settings

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock


async def test_it_is_ready_only_when_it_listens(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    install_crd(cluster)
    pair = new_serving_pair(
        new_authority(NOW, timedelta(days=2)), [LOCAL_ADDRESS], NOW, timedelta(days=1)
    )
    (tmp_path / "tls.crt").write_bytes(pair.certificate_pem)
    (tmp_path / "tls.key").write_bytes(pair.key_pem)
    may_listen, begun, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    start = WebhookServer.start

    async def delayed(server: WebhookServer) -> Any:
        begun.set()
        await may_listen.wait()
        return await start(server)

    monkeypatch.setattr(WebhookServer, "start", delayed)
    health = f"{LOCAL_ADDRESS}:{free_port()}"
    settings = Settings(
        listen=f"{LOCAL_ADDRESS}:0",
        certificate_dir=tmp_path,
        health_address=health,
        drain_seconds=0,
        _cli_parse_args=[],
    )
    connecting = ConnectionSettings(kubeconfig=cluster.kubeconfig, disable_strict_tls=True)
    async with Connection.open(connecting) as connection, ClientSession() as session:
        webhook = Webhook(settings, connection, CollectorRegistry())
        running = asyncio.create_task(webhook.run(stop))
        await asyncio.wait_for(begun.wait(), 20)
        async with session.get(f"http://{health}/readyz") as answer:
            assert answer.status == 503
            assert "listener" in await answer.text()
        may_listen.set()

        async def ready() -> None:
            async with session.get(f"http://{health}/readyz") as answer:
                assert answer.status == 200, await answer.text()

        await eventually(ready)
        stop.set()
        assert await running == 0
