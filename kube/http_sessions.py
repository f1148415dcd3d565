"""Make the HTTP sessions of a connection: sockets, pools, and the fence before writes.

`connection.py` opens two sessions, one for requests and one for watches. This module
must not know what is requested.
"""

import socket
from collections.abc import Callable

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

READ_AHEAD_BYTES = 1 << 18
POOL_SECONDS = 60.0  # an idle connection is kept for this time; the API server closes it after 90 s
# A peer that is gone is noticed within 35 seconds; the last value is in milliseconds.
KEEPALIVE = (
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 35_000),
)

Fence = Callable[[], None]  # raises if this process must not write now


class FencedConnector(aiohttp.TCPConnector):
    """Hands out connections, and asks the fence before it hands one to a write.

    A request may wait for a place in the pool, for a token or for a handshake. It is sent
    as soon as it has its connection, so this is the last moment before that.
    """

    def __init__(self, fence: Fence | None, limit: int) -> None:
        super().__init__(
            limit=limit,
            socket_factory=_keepalive_socket,
            keepalive_timeout=POOL_SECONDS,
            ttl_dns_cache=60,
        )
        self._fence = fence

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as in aiohttp
    ) -> Connection:
        """Return a connection for one request.

        Raises:
            Exception: what the fence raises; nothing was sent.
        """
        acquired = await super().connect(req, traces, timeout)
        if self._fence is not None and req.method != "GET":
            try:
                self._fence()
            except BaseException:
                acquired.release()
                raise
        return acquired


def open_session(limit: int, user_agent: str, fence: Fence | None = None) -> aiohttp.ClientSession:
    """Return a session.

    Args:
        limit: connections in use at the same time; 0 is no limit.
        user_agent: of every request.
        fence: raises if a write must not be sent.
    """
    return aiohttp.ClientSession(
        connector=FencedConnector(fence, limit),
        # Reading netrc and proxy variables costs two thread hops for each request, and netrc
        # may replace the Authorization header.
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=READ_AHEAD_BYTES,
        # Decompression costs more than reading the plain answer.
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
    )


def _keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Return a socket with TCP keepalive."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
