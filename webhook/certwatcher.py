"""Serve the newest certificate without dropping a connection.

A listener's TLS context is never changed: loading a new certificate with an old key into it would fail and break every later
handshake. Instead each new pair gets a context of its own, and the listener's `sni_callback`, which runs for clients with and
without SNI alike, hands the newest one to each new connection. Connections that are open keep the pair they began with.

The pair is read from one generation of a mounted Secret (the kubelet switches the link `..data`); `certs/directory.py` lays its
files out in the same way. It is looked at several times a second, because a file watch misses what happens on some mounts.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.stdlib.get_logger()

CERTIFICATE = "tls.crt"
KEY = "tls.key"
CURRENT_GENERATION = "..data"
LOOKED_AT_EVERY_SECONDS = 0.25  # two small reads: a fortieth of a percent of a core


class UnusablePairError(Exception):
    """The files are not a pair that can be served; the message says why."""


@dataclass(frozen=True, slots=True)
class ServedPair:
    """What is served, for the log and the metric."""

    context: ssl.SSLContext
    serial: str
    expires: datetime


class _Files(NamedTuple):
    certificate: bytes
    key: bytes
    client_ca: bytes | None


class CertWatcher:
    """Follows the pair in a directory; `listener_context` is what a server listens with, for its whole life."""

    def __init__(
        self,
        directory: Path,
        on_served: Callable[[ServedPair], None],
        on_failed: Callable[[], None] = lambda: None,
        client_ca: Path | None = None,
    ) -> None:
        """Prepare; nothing is read before `look` or `run`.

        Args:
            directory: with the pair.
            on_served: called with each pair that is served from now on.
            on_failed: called at each look that finds no pair which can be served.
            client_ca: file with the CAs that client certificates must come from; None where clients need no certificate.
        """
        self._directory = directory
        self._client_ca = client_ca
        self._on_served = on_served
        self._on_failed = on_failed
        self._seen: _Files | None = None
        self._problem: str | None = None
        self._first = asyncio.Event()
        self.served: ServedPair | None = None
        self.listener_context = _server_context(client_ca is not None)
        self.listener_context.sni_callback = self._hand_out

    def problem(self, now: datetime) -> str | None:
        """Return why no client can be served, or None."""
        if self.served is None:
            return self._problem or f"no certificate was looked for in {self._directory} yet"
        if self.served.expires <= now:
            return f"the certificate expired at {self.served.expires.isoformat()}"
        return None

    async def wait_for_first(self) -> None:
        """Return as soon as there is something to serve."""
        await self._first.wait()

    async def run(self) -> None:
        """Look for a changed pair until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOKED_AT_EVERY_SECONDS)

    def look(self) -> None:
        """Load the pair if it changed. One that cannot be served leaves the former one in service."""
        generation = generation_of(self._directory)
        try:
            files = _read(generation, self._client_ca)
            if files == self._seen:
                return
            pair = _load(generation, files, self._client_ca)
        except UnusablePairError as error:
            self._tell(f"{self._directory}: {error}")
            self._on_failed()
            return
        self._seen, self._problem, self.served = files, None, pair
        self._first.set()
        self._on_served(pair)
        log.info("certificate served", serial=pair.serial, expires=pair.expires.isoformat())

    def _tell(self, problem: str) -> None:
        """Log a problem once, not at every look."""
        if problem != self._problem:
            log.warning("certificate not loaded", error=problem, serving_on=self.served is not None)
        self._problem = problem

    def _hand_out(
        self, connection: ssl.SSLObject, _name: str | None, _listener: ssl.SSLContext
    ) -> None:
        if self.served:
            connection.context = self.served.context


def generation_of(directory: Path) -> Path:
    """Resolve the link once, so that both files come from one generation even if it is switched meanwhile."""
    generation = (directory / CURRENT_GENERATION).resolve()
    return generation if generation.is_dir() else directory


def _read(generation: Path, client_ca: Path | None) -> _Files:
    try:
        pair = (generation / CERTIFICATE).read_bytes(), (generation / KEY).read_bytes()
    except FileNotFoundError as error:
        raise UnusablePairError(f"waiting for {CERTIFICATE} and {KEY}") from error
    except OSError as error:
        raise UnusablePairError(str(error)) from error
    try:
        return _Files(*pair, client_ca.read_bytes() if client_ca else None)
    except OSError as error:
        raise UnusablePairError(f"the CAs of clients cannot be read: {error}") from error


def _load(generation: Path, files: _Files, client_ca: Path | None) -> ServedPair:
    """Build a context for a pair; OpenSSL refuses a certificate and a key that do not belong together."""
    context = _server_context(files.client_ca is not None)
    try:
        context.load_cert_chain(generation / CERTIFICATE, generation / KEY)
        facts = _tried(context, files.certificate.decode("ascii"))
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise UnusablePairError(f"{CERTIFICATE} and {KEY} cannot be served: {error}") from error
    try:
        if files.client_ca is not None:
            context.load_verify_locations(cadata=files.client_ca.decode("ascii"))
    except (OSError, ValueError) as error:
        raise UnusablePairError(f"the CAs of clients cannot be used: {error}") from error
    if _read(generation, client_ca) != files:
        raise UnusablePairError(
            "the files are being written"
        )  # OpenSSL read them itself: what it read is not certain
    expires = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(facts["notAfter"])), UTC)
    return ServedPair(context, str(facts["serialNumber"]).lower().lstrip("0"), expires)


def _tried(context: ssl.SSLContext, certificate: str) -> Mapping[str, object]:
    """Shake hands with ourselves in memory; returns what a client learns of the certificate.

    A pair that has expired, or that no client would take for a server's, fails here and not in front of the API server.

    Raises:
        ssl.SSLError: no client would accept it.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= (
        ssl.VERIFY_X509_PARTIAL_CHAIN
    )  # the certificate itself is trusted, whoever signed it
    trusting.load_verify_locations(cadata=certificate)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, server, client):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    return client.getpeercert() or {}


def _server_context(clients_need_certificates: bool) -> ssl.SSLContext:
    """Build a context. Whether a client must show a certificate is decided by the context that a listener begins with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if clients_need_certificates:
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = (
            0  # a resumed session would outlive the CA that its certificate came from
        )
        context.options |= ssl.OP_NO_TICKET
    return context
