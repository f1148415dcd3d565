"""The listener on both event loops.

Each loop has its own TLS implementation, and the process runs on uvloop.
"""

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from runtime.listening import ConnectionLimits, Listener
from runtime.settings import Address
from tests.support.eventually import eventually
from tests.support.pki import Authority
from tests.support.transports import transports_closed

NOW = datetime.now(UTC)  # noqa: TID251 - TLS looks at the real clock
Story = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture(
    params=[
        pytest.param(asyncio.new_event_loop, id="asyncio"),
        pytest.param(uvloop.new_event_loop, id="uvloop"),
    ]
)
def run(request: pytest.FixtureRequest) -> Callable[[Story], None]:
    def run(story: Story) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(story())
            runner.run(transports_closed())

    return run


class Echo(asyncio.Protocol):
    """Sends back what comes; a real protocol would report requests to the listener."""

    def __init__(self, on_data: Callable[["Echo"], None]) -> None:
        self.transport: asyncio.Transport | None = None
        self._on_data = on_data

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._on_data(self)
        assert self.transport is not None
        self.transport.write(data)


class Scene:
    """A listener and clients that trust it."""

    def __init__(self, folder: Path, limits: ConnectionLimits, *, proves: bool = True) -> None:
        authority = Authority(folder, NOW)
        pair = authority.server("server", ["localhost"], ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        self.client = ssl.create_default_context(cafile=str(authority.pair.certificate))
        self._proves = proves
        self.listener = Listener(Address("127.0.0.1", 0), limits, context)
        self.port = self.listener.start(lambda: Echo(self._on_data)).port

    def _on_data(self, protocol: Echo) -> None:
        self.listener.began(protocol)
        self.listener.ended(protocol, valid=self._proves)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.client)

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.readexactly(5), 10) == b"hello"


def test_a_proven_connection_survives_any_number_of_silent_ones(
    tmp_path: Path, run: Callable[[Story], None]
) -> None:
    async def story() -> None:
        limits = ConnectionLimits(total=12, unproven=8, unproven_per_address=6)
        scene = Scene(tmp_path, limits)
        proven = await scene.connect()
        await scene.echo(*proven)
        silent = [await asyncio.open_connection("127.0.0.1", scene.port) for _ in range(100)]
        fresh = await scene.connect()
        await scene.echo(*fresh)
        await scene.echo(*proven)
        await eventually(lambda: scene.listener.count() <= limits.unproven_per_address + 2)
        for _, writer in (*silent, proven, fresh):
            writer.transport.abort()
        await scene.listener.close()

    run(story)


@pytest.mark.parametrize("tls", [False, True])
def test_a_connection_without_a_valid_request_is_closed_in_time(
    tmp_path: Path, run: Callable[[Story], None], tls: bool
) -> None:
    async def story() -> None:
        # A handshake and an answer must fit into the time of a connection with TLS.
        limits = (
            ConnectionLimits(unproven_seconds=1.0)
            if tls
            else ConnectionLimits(handshake_seconds=0.3, unproven_seconds=0.3)
        )
        scene = Scene(tmp_path, limits, proves=False)
        if tls:
            reader, writer = await scene.connect()
            await scene.echo(reader, writer)
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
        assert await asyncio.wait_for(_end_of(reader), 10)
        await eventually(lambda: scene.listener.count() == 0)
        writer.transport.abort()
        await scene.listener.close()

    run(story)


async def _end_of(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True


def test_closing_stops_new_connections_and_leaves_open_ones(
    tmp_path: Path, run: Callable[[Story], None]
) -> None:
    async def story() -> None:
        scene = Scene(tmp_path, ConnectionLimits())
        open_one = await scene.connect()
        await scene.echo(*open_one)
        await scene.listener.close()
        with pytest.raises(ConnectionRefusedError):
            await scene.connect()
        await scene.echo(*open_one)
        open_one[1].transport.abort()

    run(story)
