"""Save a cluster to a file and load it: all objects and the identity of the cluster.

The authority, the token key and the admin token are kept, so that kubeconfigs and
tokens stay valid after a restart.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from devcluster.access.pki import Authority
from devcluster.access.tokens import SigningKey
from devcluster.storage.store import Store

SAVE_EVERY = 5.0  # seconds
LOST_AT_MOST = (
    1_000_000  # versions that may have been given out after the last save, and must not come again
)
TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True)
class Identity:
    """What a cluster is known by."""

    authority: Authority
    signing_key: SigningKey
    admin_token: str

    @classmethod
    def make(cls, now: datetime) -> "Identity":
        """A new one."""
        return cls(Authority.make(now), SigningKey.generate(), secrets.token_urlsafe(TOKEN_BYTES))


def load(path: Path | None, store: Store, now: datetime) -> Identity:
    """Fill a store from a file, if there is one, and become who it was.

    Raises:
        ValueError: the file is no snapshot.
        OSError: it cannot be read.
    """
    if path is None or not path.exists():
        return Identity.make(now)
    try:
        snapshot = json.loads(path.read_text(encoding="utf-8"))
        store.load(snapshot["store"])
        store.skip(LOST_AT_MOST)
        identity = snapshot["identity"]
        authority = Authority.load(identity["authority"])
        signing_key, token = (
            SigningKey.from_pem(identity["signingKey"].encode()),
            str(identity["adminToken"]),
        )
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path} is no snapshot of devcluster: {error}") from error
    return Identity(
        authority if authority.is_valid(now) else Authority.make(now), signing_key, token
    )


def save(path: Path, store: Store, identity: Identity) -> None:
    """Write the file.

    Raises:
        OSError: it cannot be written.
    """
    known: dict[str, Any] = {
        "authority": identity.authority.dump(),
        "signingKey": identity.signing_key.to_pem().decode(),
        "adminToken": identity.admin_token,
    }
    write_atomically(path, json.dumps({"identity": known, "store": store.dump()}))


@asynccontextmanager
async def kept(path: Path | None, store: Store, identity: Identity) -> AsyncIterator[None]:
    """Save every change soon, and the last state when the context is left.

    Raises:
        OSError: the file cannot be written.
    """
    if path is None:
        yield
        return
    saving = asyncio.create_task(_save_changes(path, store, identity))
    try:
        yield
    finally:
        saving.cancel()
        save(path, store, identity)


async def _save_changes(path: Path, store: Store, identity: Identity) -> None:
    saved = -1
    while True:
        if store.version != saved:
            saved = store.version
            save(path, store, identity)
        await asyncio.sleep(SAVE_EVERY)


def write_atomically(path: Path, text: str) -> None:
    """Write a private file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
