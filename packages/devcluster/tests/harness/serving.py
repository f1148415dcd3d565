"""Connect to a server in the same process as its admin."""

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from devcluster.app import Running
from tests.support.transports import transports_closed


def now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - certificates and tokens expire by the real clock


@asynccontextmanager
async def connected(running: Running) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield a session with the kubeconfig of a server."""
    cluster = running.kubeconfig["clusters"][0]["cluster"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    headers = {"Authorization": f"Bearer {running.kubeconfig['users'][0]['user']['token']}"}
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cadata=authority))
    async with aiohttp.ClientSession(running.url, headers=headers, connector=connector) as session:
        yield session
    await transports_closed()
