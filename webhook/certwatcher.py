"""Serve the newest certificate without closing a connection.

`server.py` listens with the TLS context of the watcher. That context never changes:
loading a new certificate with an old key into it would break every later handshake.
Each new pair has a context of its own, which `sni_callback` (called for clients with
and without SNI) selects for each new connection. The pair is read from one generation
of a mounted Secret, several times a second, because a file watch misses events on some
mounts.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import structlog

from webhook.metrics import Metrics

CERTIFICATE = "tls.crt"
KEY = "tls.key"
CURRENT_GENERATION = "..data"

# One poll is two small reads; this interval costs 0.025 % of a core.
POLL_SECONDS = 0.25


class UnusablePairError(Exception):
    """The files are not a pair that can be served; the message is the reason."""


@dataclass(frozen=True, slots=True)
class ServedPair:
    """A pair that new connections receive.

    Attributes:
        context: for the connections.
        serial: of the certificate, in hexadecimal.
        expires: when the certificate does.
    """

    context: ssl.SSLContext
    serial: str
    expires: datetime


class _Files(NamedTuple):
    certificate: bytes
    key: bytes
    client_ca: bytes | None


class CertWatcher:
    """Reloads the pair of a directory when it changes.

    Attributes:
        listener_context: the TLS context for the whole life of a server.
        served: the pair that new connections receive; None until one was read.
        loaded: set once a pair is served.
    """

    def __init__(self, directory: Path, metrics: Metrics, client_ca: Path | None = None) -> None:
        """Prepare; nothing is read before `look`.

        Args:
            directory: with the pair.
            metrics: counts the pairs that are served, and the failed reads.
            client_ca: file with the CAs of client certificates; None if clients need none.
        """
        self._directory = directory
        self._client_ca = client_ca
        self._metrics = metrics
        self._log = structlog.get_logger("certwatcher")
        self._seen: _Files | None = None
        self._problem: str | None = f"no certificate was read from {directory} yet"
        self.loaded = asyncio.Event()
        self.served: ServedPair | None = None
        self.listener_context = _server_context(client_ca is not None)
        self.listener_context.sni_callback = self._hand_out

    def problem(self, now: datetime) -> str | None:
        """Return why no client can be served, or None."""
        if self.served is None:
            return self._problem
        if self.served.expires <= now:
            return f"the certificate expired at {self.served.expires.isoformat()}"
        return None

    def look(self) -> None:
        """Load a changed pair. If it is unusable, the previous pair stays in service."""
        generation = generation_of(self._directory)
        try:
            files = _read(generation, self._client_ca)
            if files == self._seen:
                return
            pair = _load(generation, files, self._client_ca)
        except UnusablePairError as error:
            problem = f"{self._directory}: {error}"
            if problem != self._problem:  # logged once, not at every read
                self._log.warning(
                    "certificate not loaded", error=problem, serving_on=self.served is not None
                )
            self._problem = problem
            self._metrics.certificate_unusable()
            return
        self._seen, self._problem, self.served = files, None, pair
        self.loaded.set()
        self._metrics.certificate_served(pair.serial, pair.expires)
        self._log.info("certificate served", serial=pair.serial, expires=pair.expires.isoformat())

    def _hand_out(
        self, connection: ssl.SSLObject, _name: str | None, _listener: ssl.SSLContext
    ) -> None:
        if self.served:
            connection.context = self.served.context


async def follow(*looks: Callable[[], None]) -> None:
    """Call each of `looks` several times a second, until `app.py` cancels it."""
    while True:
        for look in looks:
            look()
        await asyncio.sleep(POLL_SECONDS)


def generation_of(directory: Path) -> Path:
    """Return the directory behind the link `..data`, or `directory` if there is no link.

    The kubelet switches the link for a new generation. Files read below the result come from
    one generation.
    """
    generation = (directory / CURRENT_GENERATION).resolve()
    return generation if generation.is_dir() else directory


def _read(generation: Path, client_ca: Path | None) -> _Files:
    try:
        pair = (generation / CERTIFICATE).read_bytes(), (generation / KEY).read_bytes()
    except FileNotFoundError as error:
        raise UnusablePairError(f"waiting for {CERTIFICATE} and {KEY}") from error
    except OSError as error:
        raise UnusablePairError(str(error)) from error
    with _unusable("the CAs of client certificates cannot be read"):
        return _Files(*pair, client_ca.read_bytes() if client_ca else None)


@contextmanager
def _unusable(problem: str) -> Iterator[None]:
    """Raise `UnusablePairError` with the problem and its cause if the block fails."""
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UnusablePairError(f"{problem}: {error}") from error


def _load(generation: Path, files: _Files, client_ca: Path | None) -> ServedPair:
    """Return a context for a pair.

    OpenSSL rejects a certificate and a key that do not belong together.

    Raises:
        UnusablePairError: no client could be served with these files.
    """
    context = _server_context(files.client_ca is not None)
    with _unusable(f"{CERTIFICATE} and {KEY} cannot be served"):
        context.load_cert_chain(generation / CERTIFICATE, generation / KEY)
        facts = _handshake(context, files.certificate.decode("ascii"))
    if files.client_ca is not None:
        with _unusable("the CAs of client certificates cannot be used"):
            context.load_verify_locations(cadata=files.client_ca.decode("ascii"))
    # OpenSSL read the files again, so they must not have changed since `files` was read.
    if _read(generation, client_ca) != files:
        raise UnusablePairError("the files are being written")
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(facts["notAfter"])), UTC)
    return ServedPair(context, str(facts["serialNumber"]).lower().lstrip("0"), expires)


def _handshake(context: ssl.SSLContext, certificate: str) -> Mapping[str, object]:
    """Run a TLS handshake in memory; return what a client reads from the certificate.

    An expired pair, or one that no client accepts as a server's, fails here and not at the
    API server.

    Raises:
        ssl.SSLError: no client would accept the pair.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    # Trust the certificate itself, without its issuer.
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    trusting.load_verify_locations(cadata=certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return client.getpeercert() or {}


def _server_context(clients_need_certificates: bool) -> ssl.SSLContext:
    """Return a TLS context for a server.

    Whether a client must present a certificate depends on the context of the listener, not on
    the one that a connection receives later.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if clients_need_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would outlive the CA of the client certificate.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context
