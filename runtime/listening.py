"""Open the socket of a server, and bound the connections that it keeps open.

`health.py` and the webhook's server listen with it. It must not know what is served.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import cast

from aiohttp import web

from runtime.settings import Address

BACKLOG = 128
SWEEP_SECONDS = 1.0


def open_socket(address: Address, backlog: int = BACKLOG) -> socket.socket:
    """Return a socket that listens at `address`.

    Without a host it listens on every interface, by IPv6 and IPv4.

    Raises:
        OSError: the address is in use, or there is no such interface.
    """
    if address.host:
        family, _, _, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM
        )[0]
        return socket.create_server(cast("tuple[str, int]", place), family=family, backlog=backlog)
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("", address.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=backlog
            )
        except OSError as error:
            if _in_use(error):
                raise
    return socket.create_server(("", address.port), backlog=backlog)  # IPv6 is switched off


def address_of(listening: socket.socket) -> Address:
    """Return where a socket listens, with the port that the system picked."""
    host, port = listening.getsockname()[:2]
    return Address(host, port)


class BoundedConnections:
    """The connections of one aiohttp server: at most so many, none for longer than so many seconds.

    A new connection is always accepted and the oldest one closed for it. So clients that keep
    connections open cannot shut out a probe.
    """

    def __init__(self, server: web.Server, most: int, longest_seconds: float) -> None:
        self._server = server
        self._most = most
        self._longest_seconds = longest_seconds
        self._now = asyncio.get_running_loop().time
        self._opened: dict[web.RequestHandler, float] = {}  # when each began, the oldest first

    def __len__(self) -> int:
        return len(self._opened)

    def accept(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection, as the event loop asks for it."""
        self._forget_closed()
        if len(self._opened) >= self._most:
            oldest = next(
                (handler for handler in self._opened if handler.transport is not None), None
            )
            if (
                oldest is not None
            ):  # connections that were accepted in this very turn have no transport yet
                self._close(oldest)
        handler = cast("Callable[[], web.RequestHandler]", self._server)()
        self._opened[handler] = self._now()
        return handler

    async def sweep(self) -> None:
        """Close what has been open for too long, until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._forget_closed()
            limit, too_many = self._now() - self._longest_seconds, len(self._opened) - self._most
            for number, (handler, began) in enumerate(list(self._opened.items())):
                if began <= limit or number < too_many:
                    self._close(handler)

    def _forget_closed(self) -> None:
        living = set(self._server.connections)
        lately = (
            self._now() - SWEEP_SECONDS
        )  # one that was just accepted is not known to the server yet
        self._opened = {
            handler: began
            for handler, began in self._opened.items()
            if handler in living or began > lately
        }

    def _close(self, handler: web.RequestHandler) -> None:
        """Close at once: a client that does not read would keep an orderly end waiting."""
        del self._opened[handler]
        transport = handler.transport
        handler.force_close()
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()


class BoundedServer:
    """Serves an application at one address, with a bound on its connections."""

    def __init__(self, address: Address, most: int, longest_seconds: float) -> None:
        """Prepare; nothing listens before `start`.

        Args:
            address: where to listen.
            most: connections at the same time.
            longest_seconds: after which a connection is closed.
        """
        self._address = address
        self._most = most
        self._longest_seconds = longest_seconds
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, application: web.Application) -> Address:
        """Listen; return the address, with the port that the system selected for port 0.

        Raises:
            OSError: the address is in use, or there is no such interface.
        """
        listening = open_socket(self._address)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        server = cast("web.Server", self._runner.server)  # made by `setup`
        connections = BoundedConnections(server, self._most, self._longest_seconds)
        self._listener = await asyncio.get_running_loop().create_server(
            connections.accept, sock=listening, backlog=BACKLOG
        )
        self._sweeper = asyncio.create_task(connections.sweep(), name="connections")
        return address_of(listening)

    async def close(self) -> None:
        """Stop listening."""
        if self._listener is not None:
            self._listener.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        if self._runner is not None:
            await self._runner.cleanup()


def _in_use(error: OSError) -> bool:
    return error.errno in {errno.EADDRINUSE, errno.EACCES}
