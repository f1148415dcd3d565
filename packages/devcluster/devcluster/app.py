"""Build the server, listen, and write the kubeconfig when it serves.

`__main__.py` and tests in the same process call `serve`. It yields the URL, the
kubeconfig and the faults, and stops everything when the context is left.
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from devcluster.access.audit import AuditLog
from devcluster.access.authentication import parse_token_file
from devcluster.access.control import Access
from devcluster.access.users import User, authenticated
from devcluster.admission.endpoint import Address, WebhookEndpoints
from devcluster.controllers import Controllers
from devcluster.http.faults import Faults
from devcluster.http.listening import Listener
from devcluster.http.resources import Resources
from devcluster.http.server import Server
from devcluster.schema.catalog import Catalog
from devcluster.storage import snapshot
from devcluster.storage.admin import apply_manifests, begin_cluster
from devcluster.storage.registry import Registry
from devcluster.storage.store import Store

MASTERS = "system:masters"


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve.

    Attributes:
        host, port: where; port 0 picks one.
        kubeconfig: written when it serves; None for none.
        users: by token; one admin with a random token where it is empty.
        data: a snapshot that is read at the start and kept up to date; None for none.
        manifests: files and folders that are applied at the start.
        services: where webhooks that are named as services are found.
        audit_log: gets a line for each request; None for none.
    """

    host: str = "127.0.0.1"
    port: int = 0
    kubeconfig: Path | None = None
    users: Mapping[str, User] = field(default_factory=dict)
    data: Path | None = None
    manifests: Sequence[Path] = ()
    services: Mapping[tuple[str, str], Address] = field(default_factory=dict)
    audit_log: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A server that serves.

    Attributes:
        url: where.
        kubeconfig: of an administrator.
        store: what it holds; `store.compact()` forgets the history.
        faults: what is to go wrong.
        restart: drops every connection, and refuses new ones for so many seconds.
    """

    url: str
    kubeconfig: dict[str, Any]
    store: Store
    faults: Faults
    restart: Callable[[float], None]


@asynccontextmanager
async def serve(options: Options, now: Callable[[], datetime]) -> AsyncIterator[Running]:
    """Serve until the context is left.

    Raises:
        OSError: it cannot listen there.
        ValueError: a file that is named cannot be read.
    """
    store = Store()
    identity = snapshot.load(options.data, store, now())
    users = dict(options.users) or {
        identity.admin_token: authenticated("admin", "admin", (MASTERS,), {})
    }
    authority, pair = identity.authority.pem, identity.authority.serving_pair(options.host, now())
    with closing(AuditLog(options.audit_log)) as audit:
        async with WebhookEndpoints(options.services) as endpoints:
            access = Access(store, users, identity.signing_key, endpoints, now, audit)
            catalog = Catalog(store)
            registry = Registry(store, access, now)
            listener = Listener(options.host, options.port, pair)
            resources = Resources(store, catalog, registry, access, now)
            server = Server(store, catalog, resources, access, Faults(), listener)
            controllers = Controllers(store, catalog, registry, authority.decode())
            await begin_cluster(store, catalog, registry, access)
            await apply_manifests(options.manifests, catalog, registry)
            async with (
                snapshot.kept(options.data, store, identity),
                listener.serving(server.application()),
                _background(controllers.run()),
            ):
                kubeconfig = make_kubeconfig(listener.url, authority, _admin_token(users))
                if options.kubeconfig is not None:
                    snapshot.write_atomically(options.kubeconfig, yaml.safe_dump(kubeconfig))
                yield Running(listener.url, kubeconfig, store, server.faults, listener.restart)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def make_kubeconfig(url: str, authority: bytes, token: str) -> dict[str, Any]:
    """Return a kubeconfig for one cluster and one user."""
    data = base64.b64encode(authority).decode()
    cluster = {"server": url, "certificate-authority-data": data}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devcluster", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": "admin"}}],
        "current-context": "devcluster",
    }


def read_users(path: Path | None) -> dict[str, User]:
    """The users of a token file.

    Raises:
        ValueError: it cannot be read; the message names the line.
    """
    return parse_token_file(path.read_text(encoding="utf-8").splitlines()) if path else {}


def _admin_token(users: Mapping[str, User]) -> str:
    """The token that the kubeconfig carries: an administrator's if there is one."""
    return next(
        (token for token, user in users.items() if MASTERS in user.groups), next(iter(users))
    )
