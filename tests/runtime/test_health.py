"""Check that probes work under load, and that scrapes render at most once a second."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector

from runtime import health
from runtime.health import MOST_CONNECTIONS, HealthServer
from runtime.settings import Address
from tests.support.eventually import eventually

SLOW_SECONDS = 0.05


class Counting(Collector):
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.read = -1  # registering it reads it once

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Take as long as a large registry does."""
        self.read += 1
        end = time.perf_counter() + SLOW_SECONDS
        while time.perf_counter() < end:
            pass
        yield GaugeMetricFamily("read", "times", value=self.read)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
async def address(counting: Counting) -> AsyncIterator[Address]:
    registry = CollectorRegistry()
    registry.register(counting)
    server = HealthServer(Address("127.0.0.1", 0), registry)
    yield await server.start()
    await server.close()


@dataclass
class State:
    """The state of a watch."""

    problem: Exception | None = None
    last_active: float = 0.0
    last_heard: float = 0.0
    lists: int = 0
    watches: int = 0


@dataclass
class Watch:
    """A watched collection."""

    state: State
    synced: asyncio.Event = field(default_factory=asyncio.Event)


async def test_a_listed_watch_is_ready_for_good_and_alive_while_it_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, watch = 1000.0, Watch(State(last_active=1000.0))
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
    server = HealthServer(Address("127.0.0.1", 0), CollectorRegistry())
    server.add_watches({"syncs": watch})

    assert (server.alive(), server.ready()) == ([], ["syncs: not listed yet"])
    watch.state.problem = OSError("no route")
    assert server.ready() == ["syncs: cannot be listed: no route"]
    watch.synced.set()
    assert (server.alive(), server.ready()) == ([], [])
    now += health.STUCK_WATCH_SECONDS
    assert server.alive() == []
    now += 1
    assert server.alive() == ["syncs: the watch is stuck: no byte and no new attempt for 301 s"]
    assert server.ready() == []
    watch.state.last_active = now  # it failed again
    assert server.alive() == []


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.read()
        return answer.status


async def test_scrapes_that_come_together_share_one_rendering(
    address: Address, counting: Counting
) -> None:
    connector = aiohttp.TCPConnector(limit=MOST_CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def scrape() -> str:
            async with session.get(f"http://{address}/metrics") as answer:
                return await answer.text()

        loop = asyncio.get_running_loop()
        began = loop.time()
        texts = await asyncio.gather(*(scrape() for _ in range(200)))
        seconds = loop.time() - began
    assert all("read " in text for text in texts)
    assert counting.read <= 2 + seconds / (health.FRESH_FACTOR * SLOW_SECONDS)


async def test_a_probe_is_answered_while_clients_keep_connections_open(address: Address) -> None:
    """None of them sends a request, or reads an answer."""
    silent = [
        await asyncio.open_connection(address.host, address.port)
        for _ in range(3 * MOST_CONNECTIONS)
    ]
    for number, (_, writer) in enumerate(silent):
        if number % 2:
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: a\r\n")
    try:
        for path in ("healthz", "readyz", "metrics"):
            assert await status_of(f"http://{address}/{path}") == 200
        await eventually(
            lambda: sum(reader.at_eof() for reader, _ in silent) >= 2 * MOST_CONNECTIONS
        )
    finally:
        for _, writer in silent:
            writer.close()


async def test_a_connection_does_not_live_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "LONGEST_CONNECTION_SECONDS", 0.5)
    server = HealthServer(Address("127.0.0.1", 0), CollectorRegistry())
    address = await server.start()
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        await eventually(reader.at_eof, 20)
    finally:
        writer.close()
        await server.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
async def test_without_a_host_it_listens_by_ipv4_and_ipv6(family: socket.AddressFamily) -> None:
    if family is socket.AF_INET6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    server = HealthServer(Address.parse(":0"), CollectorRegistry())
    address = await server.start()
    try:
        host = "[::1]" if family is socket.AF_INET6 else "127.0.0.1"
        assert await status_of(f"http://{host}:{address.port}/healthz") == 200
        assert await status_of(f"http://{address}/healthz") == 200
    finally:
        await server.close()


async def test_an_address_in_use_is_an_error(address: Address) -> None:
    for host in ("", "127.0.0.1"):
        with pytest.raises(OSError, match="in use"):
            await HealthServer(Address(host, address.port), CollectorRegistry()).start()
