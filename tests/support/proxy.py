"""Put a TCP proxy between one process and the API server, and break its connections.

The proxy ends TLS with its own certificate, so it can distinguish watches from other
requests. The chaos journeys use it on every kind of cluster.
"""

import asyncio
import datetime as dt
import ssl
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support.pki import Authority
from tests.support.processes import LOCAL_ADDRESS, free_port

CHUNK_BYTES = 1 << 16
ACTION_SECONDS = 10.0  # for one change of the proxy's behaviour
WATCH = b"watch=true"


@dataclass(eq=False)
class Link:
    """A connection of the client, and the one to the API server that belongs to it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    watched: bytes = b""  # the first line of its last watch
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Begin thawed."""
        self.thawed.set()

    def abort(self) -> None:
        """Close both connections without a TLS shutdown, as a crash does."""
        for writer in (self.client, self.server):
            with suppress(AttributeError):  # the transport is gone
                writer.transport.abort()


class Proxy:
    """Forwards every byte until a method breaks something; a context manager."""

    def __init__(self, url: str, authority: Path | None, folder: Path, now: dt.datetime) -> None:
        """Listen on a port of its own.

        Args:
            url: of the API server, with https.
            authority: the PEM file of its CA.
            folder: an empty one, for the proxy's certificate.
            now: the start of the certificate's validity.
        """
        own = Authority(folder, now)
        pair = own.server("proxy", ["localhost"], [LOCAL_ADDRESS])
        self.authority_file = own.pair.certificate
        self._accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._accepting.load_cert_chain(pair.certificate, pair.key)
        self._connecting = ssl.create_default_context(cafile=authority)
        self._connecting.verify_flags &= ~ssl.VERIFY_X509_STRICT
        self._host, _, self._port = urlsplit(url).netloc.rpartition(":")
        self._own_port = free_port()
        self.url = f"https://{LOCAL_ADDRESS}:{self._own_port}"
        self._links: set[Link] = set()
        self._refusing = False
        self._delay_seconds = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def freeze_watches(self, path: str) -> int:
        """Forward nothing more over the open watches of a collection; return their number.

        The connections stay open, as after the loss of a route or a frozen load balancer.
        """
        return self._run(self._freeze(path.encode()))

    def cut(self) -> int:
        """Close every open connection; return their number. New ones are accepted."""
        return self._run(self._cut())

    def refuse(self) -> None:
        """Close every open connection, and every new one, until `accept`."""
        self._refusing = True
        self._run(self._cut())

    def accept(self) -> None:
        """Accept connections again."""
        self._refusing = False

    def delay(self, seconds: float) -> None:
        """Deliver every answer this much later."""
        self._delay_seconds = seconds

    def _run(self, action: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(ACTION_SECONDS)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, LOCAL_ADDRESS, self._own_port, ssl=self._accepting
        )

    async def _close(self) -> None:
        self._server.close()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _freeze(self, path: bytes) -> int:
        frozen = [link for link in self._links if link.watched.startswith(b"GET %b?" % path)]
        for link in frozen:
            link.thawed.clear()
        return len(frozen)

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.abort()
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            answers, server = await asyncio.open_connection(
                self._host, int(self._port), ssl=self._connecting
            )
        except OSError:
            writer.transport.abort()
            return
        link = Link(writer, server)
        if self._refusing:  # since this connection began
            link.abort()
            return
        self._links.add(link)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._forward_requests(reader, link))
                both.create_task(self._forward_answers(answers, link))
        except* OSError:
            pass  # one side closed its connection
        finally:
            self._links.discard(link)
            link.abort()

    async def _forward_requests(self, reader: asyncio.StreamReader, link: Link) -> None:
        while data := await reader.read(CHUNK_BYTES):
            request_line = data.split(b"\r\n", 1)[0]
            if WATCH in request_line:
                link.watched = request_line
            await link.thawed.wait()
            link.server.write(data)
            await link.server.drain()
        raise ConnectionResetError

    async def _forward_answers(self, reader: asyncio.StreamReader, link: Link) -> None:
        """Forward with a latency: later bytes do not wait for earlier ones to be delivered."""
        due: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._deliver(due, link))
            while data := await reader.read(CHUNK_BYTES):
                due.put_nowait((self._loop.time() + self._delay_seconds, data))
            await due.join()
            raise ConnectionResetError

    async def _deliver(self, due: asyncio.Queue[tuple[float, bytes]], link: Link) -> None:
        while True:
            moment, data = await due.get()
            if (seconds := moment - self._loop.time()) > 0:
                await asyncio.sleep(seconds)
            await link.thawed.wait()
            link.client.write(data)
            await link.client.drain()
            due.task_done()
