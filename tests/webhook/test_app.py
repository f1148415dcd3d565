"""The process is ready when a request would be answered, and not before."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from certs.authority import new_authority, new_serving_pair
from kube.connection import Connection, ConnectionSettings
from tests.journeys.conftest import install_crd
from tests.support.cluster import Cluster
from tests.support.eventually import eventually
from tests.support.processes import LOCAL_ADDRESS, free_port
from webhook.__main__ import _run
from webhook.app import Webhook
from webhook.server import WebhookServer
from webhook.settings import Settings

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock


def settings_of(cluster: Cluster, folder: Path, **options: Any) -> Settings:
    install_crd(cluster)
    pair = new_serving_pair(
        new_authority(NOW, timedelta(days=2)), [LOCAL_ADDRESS], NOW, timedelta(days=1)
    )
    (folder / "tls.crt").write_bytes(pair.certificate_pem)
    (folder / "tls.key").write_bytes(pair.key_pem)
    return Settings(
        kubeconfig=cluster.kubeconfig,
        relaxed_tls=True,
        certificate_dir=folder,
        drain_seconds=0,
        _cli_parse_args=[],
        **options,
    )


async def test_an_address_in_use_is_one_log_line_and_exit_code_2(cluster: Cluster, tmp_path: Path):
    with socket.create_server((LOCAL_ADDRESS, 0)) as taken, capture_logs() as logs:
        address = f"{LOCAL_ADDRESS}:{taken.getsockname()[1]}"
        settings = settings_of(
            cluster, tmp_path, listen=address, health_address=f"{LOCAL_ADDRESS}:0"
        )
        assert await _run(settings, asyncio.Event()) == 2
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["cannot start"]
    assert "in use" in logs[-1]["error"]


async def test_it_is_ready_only_when_it_listens(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    may_listen, begun, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
    start = WebhookServer.start

    async def delayed(server: WebhookServer) -> Any:
        begun.set()
        await may_listen.wait()
        return await start(server)

    monkeypatch.setattr(WebhookServer, "start", delayed)
    health = f"{LOCAL_ADDRESS}:{free_port()}"
    settings = settings_of(cluster, tmp_path, listen=f"{LOCAL_ADDRESS}:0", health_address=health)
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
        await running
