"""Accept TLS connections, and bound how many there are and how long a client may keep one without a valid request.

All API servers call from few addresses, and each opens one connection for each request that is under way. So the bounds are generous,
and where one is reached, the oldest connection without a valid request is closed for the new one. `server.py` reports which connections
are busy and which have sent a valid request.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from runtime.listening import address_of, open_socket
from runtime.settings import Address

log = structlog.stdlib.get_logger()

# The queue of the system is for the moment when all connections of the API servers are made anew at once.
BACKLOG = 1024
ACCEPTED_AT_ONCE = 64  # in one step of the event loop
SWEEP_SECONDS = 0.5
OUT_OF_DESCRIPTORS_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How many connections there may be, and for how long.

    Attributes:
        total: connections at once; each costs about 45 KiB.
        unproven: of these, connections without a valid request so far.
        unproven_per_address: of these, connections from one address.
        handshake_seconds: time for the TLS handshake.
        unproven_seconds: time between the beginning of a connection and the headers of its first request.
    """

    total: int = 1024
    unproven: int = 384
    unproven_per_address: int = 256
    handshake_seconds: float = 5.0
    unproven_seconds: float = 5.0


@dataclass(slots=True, eq=False)
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


@dataclass(slots=True)
class _Table:
    """Open connections by whether they are proven; each part is in the order of age."""

    unproven: dict[_Connection, None] = field(default_factory=dict)
    proven: dict[_Connection, None] = field(default_factory=dict)

    def drop_closed(self) -> None:
        for part in (self.unproven, self.proven):
            for connection in [each for each in part if each.closed]:
                del part[connection]


class Listener:
    """Listens until closed.

    Args:
        address: where to listen.
        context: of the TLS server.
        new_protocol: makes the protocol of one connection.
        limits: on connections.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        new_protocol: Callable[[], asyncio.Protocol],
        limits: ConnectionLimits | None = None,
    ) -> None:
        self._address = address
        self._context = context
        self._new_protocol = new_protocol
        self._limits = limits or ConnectionLimits()
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._table = _Table()
        self._by_protocol: dict[Hashable, _Connection] = {}
        self._sweeping: asyncio.Task[None] | None = None

    def start(self) -> Address:
        """Listen; returns the address, whose port the system picked where 0 was asked for."""
        self._socket = open_socket(self._address, BACKLOG)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket.fileno(), self._accept_some)
        self._sweeping = asyncio.ensure_future(self._sweep())
        return address_of(self._socket)

    async def close(self) -> None:
        """Stop accepting. Connections that are open stay with their protocols."""
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None
        for connection in self._table.unproven:
            if connection.transport is None:
                connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeping

    def began(self, protocol: asyncio.BaseProtocol) -> None:
        """Note that the headers of a request have arrived: the request has time limits of its own."""
        if connection := self._by_protocol.get(protocol):
            connection.busy = True

    def ended(self, protocol: asyncio.BaseProtocol, *, valid: bool) -> None:
        """Note that a request was answered. A connection with a valid one is kept until it is idle for long."""
        connection = self._by_protocol.get(protocol)
        if connection is None:
            return
        connection.busy = False
        if valid and connection in self._table.unproven:
            del self._table.unproven[connection]
            self._table.proven[connection] = None

    def count(self) -> int:
        """Return how many connections are open."""
        self._drop_closed()
        return len(self._table.unproven) + len(self._table.proven)

    def _accept_some(self) -> None:
        listening = self._socket
        for _ in range(ACCEPTED_AT_ONCE):
            if listening is None:
                return
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            accepted.setblocking(False)
            self._admit(accepted, str(peer[0]))

    def _pause(self, error: OSError) -> None:
        """Stop accepting for a moment: without free descriptors the listener would be readable all the time."""
        if error.errno not in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
            raise error
        log.warning("cannot accept connections", error=error.strerror)
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(OUT_OF_DESCRIPTORS_PAUSE_SECONDS, self._resume)

    def _resume(self) -> None:
        if self._socket is not None:
            self._loop.add_reader(self._socket.fileno(), self._accept_some)

    def _admit(self, accepted: socket.socket, address: str) -> None:
        if not self._make_room(address):
            accepted.close()
            return
        connection = _Connection(address, self._loop.time())
        self._table.unproven[connection] = None
        connection.task = asyncio.ensure_future(self._shake_hands(connection, accepted))

    def _make_room(self, address: str) -> bool:
        """Close the oldest unproven connection where a bound is reached; returns whether there is room."""
        table, limits = self._table, self._limits
        if (
            len(table.unproven) < min(limits.unproven, limits.unproven_per_address)
            and self._total() < limits.total
        ):
            return True
        self._drop_closed()
        by_address = Counter(connection.address for connection in table.unproven)
        if by_address[address] >= limits.unproven_per_address:
            return self._evict(address)
        if len(table.unproven) >= limits.unproven or self._total() >= limits.total:
            return self._evict(max(by_address, key=by_address.__getitem__, default=None))
        return True

    def _evict(self, address: str | None) -> bool:
        for connection in self._table.unproven:
            if connection.address == address and not connection.busy:
                connection.abort()
                del self._table.unproven[connection]
                return True
        return False

    def _total(self) -> int:
        return len(self._table.unproven) + len(self._table.proven)

    async def _shake_hands(self, connection: _Connection, accepted: socket.socket) -> None:
        protocol = self._new_protocol()
        self._by_protocol[protocol] = connection
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
            )
            connection.transport = transport
        except OSError:  # ssl.SSLError and the time-out are OSErrors
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

    async def _sweep(self) -> None:
        """Close what has sent no request in time, again and again."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._drop_closed()
            too_old = self._loop.time() - self._limits.unproven_seconds
            for connection in list(self._table.unproven):
                if connection.since > too_old:
                    break
                if not connection.busy:
                    connection.abort()

    def _drop_closed(self) -> None:
        self._table.drop_closed()
        for protocol in [
            protocol for protocol, connection in self._by_protocol.items() if connection.closed
        ]:
            del self._by_protocol[protocol]
