"""How a connection to the API server is made: sockets, TLS, pools, and the fence before writes. `connection.py` is the only user."""

import socket
import ssl
from collections.abc import Callable

import aiohttp
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from kube.target import Target

READING = {"GET", "HEAD", "OPTIONS"}
READ_AHEAD = 1 << 18  # bytes
POOLED_FOR = 60.0  # seconds an idle connection is kept; the server closes it after 90
KEEPALIVE = (
    ("TCP_KEEPIDLE", 20),
    ("TCP_KEEPINTVL", 5),
    ("TCP_KEEPCNT", 3),
    ("TCP_USER_TIMEOUT", 35_000),
)

Fence = Callable[[], None]  # returns where writing is allowed, raises where it is not


class FencedConnector(aiohttp.TCPConnector):
    """Hands out connections, to writers only while the fence lets them pass.

    A request may wait long for its turn, a token or a handshake. When it has its connection, it is sent in the same breath: so here is where
    to ask.
    """

    def __init__(self, fence: Fence | None, limit: int, context: ssl.SSLContext) -> None:
        super().__init__(
            limit=limit,
            ssl=context,
            socket_factory=_keepalive_socket,
            keepalive_timeout=POOLED_FOR,
            ttl_dns_cache=60,
        )
        self._fence = fence

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as in aiohttp
    ) -> Connection:
        """A connection for one request."""
        acquired = await super().connect(req, traces, timeout)
        if self._fence is not None and req.method not in READING:
            try:
                self._fence()
            except BaseException:
                acquired.release()  # nothing was sent over it
                raise
        return acquired


def open_session(
    context: ssl.SSLContext, limit: int, user_agent: str, fence: Fence | None = None
) -> aiohttp.ClientSession:
    """Make ready to talk over at most `limit` connections at a time; 0 is no limit."""
    connector = FencedConnector(fence, limit, context)
    return aiohttp.ClientSession(
        connector=connector,
        trust_env=False,  # netrc and proxy variables cost two thread hops a request, and may break our Authorization
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=READ_AHEAD,
        headers={
            "User-Agent": user_agent,
            "Accept-Encoding": "identity",
        },  # unpacking costs more than reading
    )


def tls_context(target: Target, *, strict: bool) -> ssl.SSLContext:
    """Whom to trust, and who we are; `strict` refuses a CA without key identifiers."""
    context = ssl.create_default_context(cafile=target.authority)
    if not strict:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if target.certificate:
        context.load_cert_chain(*target.certificate)
    if not target.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _keepalive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that notices within 35 seconds that nobody is there any more."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE:
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made
