"""Listen on an address, and close it for a while to simulate a restart."""

import asyncio
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from devcluster.access.pki import ServingPair

BACKLOG = 1024  # connections that may wait to be accepted: tests open hundreds at once
GRACE = 0.1  # seconds for requests in flight when the server ends


class Listener:
    """One address, open or closed."""

    def __init__(self, host: str, port: int, pair: ServingPair) -> None:
        """Prepare to listen; port 0 picks one."""
        self._host = host
        self._port = port
        self._context = _tls_context(pair)
        self._web: web.Server | None = None
        self._socket: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    @asynccontextmanager
    async def serving(self, application: web.Application) -> AsyncIterator[None]:
        """Be open until the context is left.

        Raises:
            OSError: it cannot listen there.
        """
        runner = web.AppRunner(
            application, access_log=None, shutdown_timeout=GRACE, handler_cancellation=True
        )
        await runner.setup()
        self._web = runner.server
        try:
            await self._open()
            yield
        finally:
            if self._reopening is not None:
                self._reopening.cancel()
            self._close()
            await runner.cleanup()

    def restart(self, seconds: float = 0.0) -> None:
        """Drop every connection, and refuse new ones for some seconds."""
        if seconds <= 0:
            self._drop()
            return
        self._close()
        if self._reopening is not None:
            self._reopening.cancel()
        self._reopening = asyncio.get_running_loop().create_task(self._open_after(seconds))

    async def _open_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._open()

    async def _open(self) -> None:
        assert self._web is not None  # noqa: S101 - set before it is first called
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_server(
            self._web,
            self._host,
            self._port,
            ssl=self._context,
            backlog=BACKLOG,
            reuse_address=True,
        )
        self._port = self._socket.sockets[0].getsockname()[1]

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._drop()

    def _drop(self) -> None:
        for connection in list(self._web.connections if self._web is not None else ()):
            if connection.transport is not None:
                connection.transport.abort()


def _tls_context(pair: ServingPair) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only
        certificate, key = Path(folder) / "tls.crt", Path(folder) / "tls.key"
        certificate.write_bytes(pair.certificate)
        key.touch(mode=0o600)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
    return context
