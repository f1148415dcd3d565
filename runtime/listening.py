"""Accept connections, and bound how many there are and how long they may be unused.

The health server, the page of the reconciler and the webhook listen with it: at a
bound, the oldest connection without a valid request is closed for the new one. It must
not know what is served; the webhook's server reports which are busy or proven.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Self, cast

import structlog
from aiohttp import web

from runtime.settings import Address

# The kernel queue must hold the connections of all API servers when they reconnect at once.
BACKLOG = 1024

# Connections accepted in one step of the event loop.
ACCEPTED_AT_ONCE = 64

SWEEP_SECONDS = 0.5
OUT_OF_DESCRIPTORS_PAUSE_SECONDS = 1.0


def open_socket(address: Address) -> socket.socket:
    """Return a socket that listens at `address`.

    Without a host it listens on every interface, by IPv6 and IPv4.

    Raises:
        OSError: the address is in use, or there is no such interface.
    """
    if address.host:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        return socket.create_server(cast("tuple[str, int]", place), family=family, backlog=BACKLOG)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        except OSError as error:
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise
    return socket.create_server(("", address.port), backlog=BACKLOG)  # IPv6 is switched off


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on connections.

    The defaults are for the webhook: all API servers connect from few addresses, with one
    connection for each request in flight.

    Attributes:
        total: open connections; each costs about 45 KiB with TLS.
        unproven: of these, connections without a valid request so far.
        unproven_per_address: of these, connections from one address.
        handshake_seconds: time for the TLS handshake.
        unproven_seconds: time from the start of a connection to the headers of its first
            request.
    """

    total: int = 1024
    unproven: int = 384
    unproven_per_address: int = 256
    handshake_seconds: float = 5.0
    unproven_seconds: float = 5.0

    @classmethod
    def same_for_all(cls, most: int, seconds: float) -> Self:
        """Return limits under which no connection proves itself: so many, for so long."""
        return cls(most, most, most, unproven_seconds=seconds)


@dataclass(slots=True)
class _Connection:
    address: str
    since: float
    transport: asyncio.Transport | None = None
    task: asyncio.Task[None] | None = None
    busy: bool = False

    @property
    def closed(self) -> bool:
        transport = self.transport
        return transport.is_closing() if transport else self.task is not None and self.task.done()

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()


class Listener:
    """Listens at one address, with bounds on its connections."""

    def __init__(
        self, address: Address, limits: ConnectionLimits, context: ssl.SSLContext | None = None
    ) -> None:
        """Prepare; `serve` or `start` opens the socket.

        Args:
            address: where to listen.
            limits: on connections.
            context: of a TLS server; None without TLS.
        """
        self._log = structlog.get_logger("listener")
        self._address = address
        self._limits = limits
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket  # `start` opens it
        # Both parts are oldest first.
        self._unproven: dict[asyncio.BaseProtocol, _Connection] = {}
        self._proven: dict[asyncio.BaseProtocol, _Connection] = {}
        self._closing = AsyncExitStack()

    async def serve(self, runner: web.AppRunner) -> Address:
        """Serve an application; raises and returns as `start`."""
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        return self.start(cast("web.Server", runner.server))  # made by `setup`

    def start(self, new_protocol: Callable[[], asyncio.BaseProtocol]) -> Address:
        """Listen; return the address, with the port that the system selected for port 0.

        Args:
            new_protocol: returns the protocol of one connection.

        Raises:
            OSError: the address is in use, or there is no such interface.
        """
        self._new_protocol = new_protocol
        self._socket = open_socket(self._address)
        self._socket.setblocking(False)
        self._closing.callback(self._stop_accepting)
        self._resume()
        self._closing.callback(asyncio.ensure_future(self._sweep()).cancel)
        return Address(*self._socket.getsockname()[:2])

    async def close(self) -> None:
        """Stop accepting, finish the requests in flight, and close all connections."""
        await self._closing.aclose()

    def began(self, protocol: asyncio.BaseProtocol) -> None:
        """Mark a connection as busy: the headers of a request have arrived.

        The request has time limits of its own.
        """
        if connection := self._unproven.get(protocol):
            connection.busy = True

    def ended(self, protocol: asyncio.BaseProtocol, *, valid: bool) -> None:
        """Mark a connection as idle, and as proven if the request was valid."""
        if connection := self._unproven.get(protocol):
            connection.busy = False
            if valid:
                self._proven[protocol] = self._unproven.pop(protocol)

    def count(self) -> int:
        """Return the number of connections that are open, or were closed a moment ago."""
        return len(self._unproven) + len(self._proven)

    def _accept_some(self) -> None:
        for _ in range(ACCEPTED_AT_ONCE):
            try:
                accepted, peer = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            accepted.setblocking(False)
            address = str(peer[0])
            if self._make_room(address):
                self._admit(accepted, address)
            else:
                accepted.close()

    def _stop_accepting(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in self._unproven.values():
            if connection.transport is None:
                connection.abort()

    def _pause(self, error: OSError) -> None:
        """Pause accepting when file descriptors have run out.

        Otherwise the readable socket would keep the event loop busy.
        """
        if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
            raise error
        self._log.warning("cannot accept connections", error=error.strerror)
        self._loop.remove_reader(self._socket)
        self._loop.call_later(OUT_OF_DESCRIPTORS_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._socket.fileno() >= 0:  # not closed
            self._loop.add_reader(self._socket, self._accept_some)

    def _admit(self, accepted: socket.socket, address: str) -> None:
        protocol, connection = self._new_protocol(), _Connection(address, self._loop.time())
        self._unproven[protocol] = connection
        connection.task = asyncio.ensure_future(self._open(connection, protocol, accepted))
        connection.task.add_done_callback(
            lambda _: None if connection.transport else accepted.close()
        )

    def _make_room(self, address: str) -> bool:
        """Return whether there is room, after evicting an unproven connection at a bound."""
        limits = self._limits
        if (
            len(self._unproven) < min(limits.unproven, limits.unproven_per_address)
            and self.count() < limits.total
        ):
            return True
        self._drop_closed()
        by_address = Counter(connection.address for connection in self._unproven.values())
        if by_address[address] >= limits.unproven_per_address:
            return self._evict(address)
        if len(self._unproven) >= limits.unproven or self.count() >= limits.total:
            return self._evict(max(by_address, key=by_address.__getitem__, default=""))
        return True

    def _evict(self, address: str) -> bool:
        for protocol, connection in self._unproven.items():
            if connection.address == address and not connection.busy:
                connection.abort()
                del self._unproven[protocol]
                return True
        return False

    async def _open(
        self, connection: _Connection, protocol: asyncio.BaseProtocol, accepted: socket.socket
    ) -> None:
        seconds = self._limits.handshake_seconds if self._context else None
        with suppress(OSError):  # ssl.SSLError and TimeoutError are OSErrors
            connection.transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol, accepted, ssl=self._context, ssl_handshake_timeout=seconds
            )

    async def _sweep(self) -> None:
        """Abort connections that sent no request in time, periodically."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._drop_closed()
            too_old = self._loop.time() - self._limits.unproven_seconds
            for connection in self._unproven.values():
                if connection.since > too_old:
                    break
                if not connection.busy:
                    connection.abort()

    def _drop_closed(self) -> None:
        for part in (self._unproven, self._proven):
            for protocol in [each for each, connection in part.items() if connection.closed]:
                del part[protocol]
