"""Accept TLS connections, and bound how many there are and how long they may be unused.

All API servers connect from few addresses, with one connection for each request in
flight. So the bounds are generous; at a bound, the oldest connection without a valid
request is closed for the new one. `server.py` reports which connections are busy and
which are proven.
"""

import asyncio
import errno
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from runtime.listening import address_of, open_socket
from runtime.settings import Address

# The kernel queue must hold the connections of all API servers when they reconnect at once.
BACKLOG = 1024

# Connections accepted in one step of the event loop.
ACCEPTED_AT_ONCE = 64

SWEEP_SECONDS = 0.5
OUT_OF_DESCRIPTORS_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on connections.

    Attributes:
        total: open connections; each costs about 45 KiB.
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
    """Accepts connections from its construction until closed.

    Attributes:
        address: where it listens, with the port that the system selected for port 0.
    """

    def __init__(
        self,
        address: Address,
        context: ssl.SSLContext,
        new_protocol: Callable[[], asyncio.BaseProtocol],
        limits: ConnectionLimits | None = None,
    ) -> None:
        """Open the socket.

        Args:
            address: to listen at.
            context: of the TLS server.
            new_protocol: returns the protocol of one connection.
            limits: on connections.

        Raises:
            OSError: the address is in use, or there is no such interface.
        """
        self._log = structlog.get_logger("listener")
        self._context = context
        self._new_protocol = new_protocol
        self._limits = limits or ConnectionLimits()
        self._loop = asyncio.get_running_loop()
        # Both parts are oldest first.
        self._unproven: dict[asyncio.BaseProtocol, _Connection] = {}
        self._proven: dict[asyncio.BaseProtocol, _Connection] = {}
        self._socket = open_socket(address, BACKLOG)
        self._socket.setblocking(False)
        self.address = address_of(self._socket)
        self._resume()
        self._sweeping = asyncio.ensure_future(self._sweep())

    async def close(self) -> None:
        """Stop accepting. Open connections stay with their protocols."""
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in self._unproven.values():
            if connection.transport is None:
                connection.abort()
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)

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
        """Return the number of open connections."""
        self._drop_closed()
        return self._total()

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
            self._admit(accepted, str(peer[0]))

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
        if not self._make_room(address):
            accepted.close()
            return
        protocol, connection = self._new_protocol(), _Connection(address, self._loop.time())
        self._unproven[protocol] = connection
        connection.task = asyncio.ensure_future(self._shake_hands(connection, protocol, accepted))

    def _make_room(self, address: str) -> bool:
        """Return whether there is room, after evicting an unproven connection at a bound."""
        limits = self._limits
        if (
            len(self._unproven) < min(limits.unproven, limits.unproven_per_address)
            and self._total() < limits.total
        ):
            return True
        self._drop_closed()
        by_address = Counter(connection.address for connection in self._unproven.values())
        if by_address[address] >= limits.unproven_per_address:
            return self._evict(address)
        if len(self._unproven) >= limits.unproven or self._total() >= limits.total:
            return self._evict(max(by_address, key=by_address.__getitem__, default=""))
        return True

    def _evict(self, address: str) -> bool:
        for protocol, connection in self._unproven.items():
            if connection.address == address and not connection.busy:
                connection.abort()
                del self._unproven[protocol]
                return True
        return False

    def _total(self) -> int:
        return len(self._unproven) + len(self._proven)

    async def _shake_hands(
        self, connection: _Connection, protocol: asyncio.BaseProtocol, accepted: socket.socket
    ) -> None:
        try:
            connection.transport, _ = await self._loop.connect_accepted_socket(
                lambda: protocol,
                accepted,
                ssl=self._context,
                ssl_handshake_timeout=self._limits.handshake_seconds,
            )
        # ssl.SSLError and TimeoutError are OSErrors
        except OSError:
            accepted.close()
        except asyncio.CancelledError:
            accepted.close()
            raise

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
