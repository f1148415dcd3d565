"""Builds the server once, listens, and writes the kubeconfig when it serves.

`serve` is for tests in the same process too: it gives the URL, the kubeconfig and the faults, and ends everything when left.
"""

import asyncio
import base64
import json
import secrets
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from devcluster.access import Access
from devcluster.admin import apply_manifests, begin_cluster
from devcluster.admission.endpoint import Address, WebhookEndpoints
from devcluster.authentication import parse_token_file
from devcluster.catalog import Catalog
from devcluster.controllers import Controllers
from devcluster.faults import Faults
from devcluster.pki import ServingPair, make_serving_pair
from devcluster.registry import Registry
from devcluster.resources import Resources
from devcluster.server import Server
from devcluster.store import Store
from devcluster.tokens import SigningKey
from devcluster.users import User, authenticated

MASTERS = "system:masters"
SAVE_EVERY = 5.0  # seconds between snapshots, where one is asked for


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        host, port: where; port 0 picks one.
        tls: whether over TLS.
        kubeconfig: written when it serves; None for none.
        users: by token; one admin with a random token where it is empty.
        data: a snapshot that is read at the start and kept up to date; None for none.
        manifests: files and folders that are applied at the start.
        services: where webhooks that are named as services are found.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = True
    kubeconfig: Path | None = None
    users: Mapping[str, User] = field(default_factory=dict)
    data: Path | None = None
    manifests: Sequence[Path] = ()
    services: Mapping[tuple[str, str], Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that serves."""

    url: str
    kubeconfig: dict[str, Any]
    server: Server
    store: Store

    @property
    def faults(self) -> Faults:
        """What is to go wrong."""
        return self.server.faults


@asynccontextmanager
async def serve(options: Options, now: Callable[[], datetime]) -> AsyncIterator[Running]:
    """Serve until the context is left.

    Raises:
        OSError: it cannot listen there.
        ValueError: a file that is named cannot be read.
    """
    users = dict(options.users) or {secrets.token_urlsafe(24): authenticated("admin", "admin", (MASTERS,), {})}
    store = Store()
    if options.data is not None and options.data.exists():
        store.load(json.loads(options.data.read_text(encoding="utf-8")))
    pair = make_serving_pair(options.host, now())
    async with WebhookEndpoints(options.services) as endpoints:
        access = Access(store, users, SigningKey.generate(), endpoints, now)
        catalog = Catalog(store)
        registry = Registry(store, access, now)
        server = Server(store, catalog, Resources(store, catalog, registry, access, now), access, Faults())
        controllers = Controllers(store, catalog, registry, pair.authority.decode())
        await begin_cluster(store, catalog, registry, access)
        await apply_manifests(options.manifests, catalog, registry)
        async with (
            _listening(server, options, pair) as url,
            _background(controllers.run(), _saving(store, options.data)),
        ):
            kubeconfig = make_kubeconfig(url, pair.authority if options.tls else None, _admin_token(users))
            if options.kubeconfig is not None:
                write_atomically(options.kubeconfig, yaml.safe_dump(kubeconfig))
            yield Running(url, kubeconfig, server, store)


@asynccontextmanager
async def _listening(server: Server, options: Options, pair: ServingPair) -> AsyncIterator[str]:
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        context = _tls_context(pair) if options.tls else None
        await web.TCPSite(runner, options.host, options.port, ssl_context=context, backlog=1024).start()
        port = runner.addresses[0][1]
        host = f"[{options.host}]" if ":" in options.host else options.host
        yield f"{'https' if options.tls else 'http'}://{host}:{port}"
    finally:
        server.restart(3600)  # watches have no end of their own
        await runner.cleanup()


@asynccontextmanager
async def _background(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _saving(store: Store, path: Path | None) -> None:
    """Keep a snapshot; the last one is written when the server ends."""
    if path is None:
        return
    saved = -1
    try:
        while True:
            if store.version != saved:
                saved = store.version
                write_atomically(path, json.dumps(store.dump()))
            await asyncio.sleep(SAVE_EVERY)
    finally:
        write_atomically(path, json.dumps(store.dump()))


def _tls_context(pair: ServingPair) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pair.authority.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    with tempfile.TemporaryDirectory() as folder:  # the ssl module reads keys from files only
        certificate, key = Path(folder) / "tls.crt", Path(folder) / "tls.key"
        certificate.write_bytes(pair.certificate)
        key.touch(mode=0o600)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
    return context


def make_kubeconfig(url: str, authority: bytes | None, token: str) -> dict[str, Any]:
    """A kubeconfig for one cluster and one user."""
    cluster: dict[str, Any] = {"server": url}
    if authority is not None:
        cluster["certificate-authority-data"] = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devcluster", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": "admin"}}],
        "current-context": "devcluster",
    }


def write_atomically(path: Path, text: str) -> None:
    """Write a private file so that nobody ever reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def read_users(path: Path | None) -> dict[str, User]:
    """The users of a token file.

    Raises:
        ValueError: it cannot be read; the message names the line.
    """
    return parse_token_file(path.read_text(encoding="utf-8").splitlines()) if path else {}


def _admin_token(users: Mapping[str, User]) -> str:
    """The token that the kubeconfig carries: an administrator's if there is one."""
    return next((token for token, user in users.items() if MASTERS in user.groups), next(iter(users)))
