"""Open the socket of a server, and bound the connections that it keeps open.

`health.py`, the page of the reconciler and the webhook's listener use it. It must not
know what is served.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
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
            if error.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise
    return socket.create_server(("", address.port), backlog=backlog)  # IPv6 is switched off


def address_of(listening: socket.socket) -> Address:
    """Return where a socket listens, with the port that the system picked."""
    host, port = listening.getsockname()[:2]
    return Address(host, port)


class BoundedServer:
    """Serves an application at one address, with a bound on its connections.

    A new connection is always accepted and the oldest one closed for it. So clients that keep
    connections open cannot shut out a probe.
    """

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
        self._now = asyncio.get_running_loop().time
        self._opened: dict[web.RequestHandler, float] = {}  # when each began, the oldest first
        self._server: web.Server  # `start` makes it
        self._closing = AsyncExitStack()

    async def start(self, application: web.Application) -> Address:
        """Listen; return the address, with the port that the system selected for port 0.

        Raises:
            OSError: the address is in use, or there is no such interface.
        """
        listening = open_socket(self._address)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._closing.push_async_callback(runner.cleanup)
        self._server = cast("web.Server", runner.server)  # made by `setup`
        listener = await asyncio.get_running_loop().create_server(
            self._accept, sock=listening, backlog=BACKLOG
        )
        self._closing.callback(listener.close)
        self._closing.callback(asyncio.create_task(self._sweep(), name="connections").cancel)
        return address_of(listening)

    async def close(self) -> None:
        """Stop listening."""
        await self._closing.aclose()

    def _accept(self) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection, as the event loop asks for it."""
        self._forget_closed()
        if len(self._opened) >= self._most:
            # Connections that were accepted in this very turn have no transport yet.
            connected = (handler for handler in self._opened if handler.transport is not None)
            if oldest := next(connected, None):
                self._close(oldest)
        handler = cast("Callable[[], web.RequestHandler]", self._server)()
        self._opened[handler] = self._now()
        return handler

    async def _sweep(self) -> None:
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
        # The server does not know one yet that was just accepted.
        lately = self._now() - SWEEP_SECONDS
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
