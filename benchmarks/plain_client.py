"""Write ConfigMaps, 32 at a time: the baseline of the benchmarks.

    python -m benchmarks.plain_client URL AUTHORITY TOKEN

It reads orders from standard input, one JSON object per line, and prints an empty line
after each. `baseline.py` starts it. It neither watches nor compares, so no operator in
the same language can be faster.
"""

import asyncio
import ssl
import sys
from typing import Literal

import msgspec
import uvloop
from aiohttp import ClientSession, TCPConnector

PARALLEL = 32
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"


class Order(msgspec.Struct):
    """ConfigMaps to write, all with the same data, or paths of collections to read."""

    verb: Literal["POST", "PUT", "PATCH", "GET"]
    places: list[tuple[str, str]] = []
    data: dict[str, str] = {}
    paths: list[str] = []


async def carry_out(session: ClientSession, order: Order) -> None:
    """Write all ConfigMaps of an order, or read all its collections."""
    if order.verb == "GET":
        await asyncio.gather(*(_send(session, "GET", path) for path in order.paths))
        return
    waiting = iter(order.places)

    async def work() -> None:
        for namespace, name in waiting:
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"namespace": namespace, "name": name},
                "data": order.data,
            }
            path = f"/api/v1/namespaces/{namespace}/configmaps" + (
                "" if order.verb == "POST" else f"/{name}"
            )
            await _send(session, order.verb, path, msgspec.json.encode(body))

    await asyncio.gather(*(work() for _ in range(min(PARALLEL, len(order.places)))))


async def _send(session: ClientSession, verb: str, path: str, body: bytes | None = None) -> None:
    headers = {
        "Accept": METADATA_LIST if verb == "GET" else METADATA_ONLY,
        "Content-Type": MERGE_PATCH if verb == "PATCH" else "application/json",
    }
    async with session.request(verb, path, data=body, headers=headers) as response:
        await response.read()
        response.raise_for_status()


async def main(url: str, authority: str, token: str) -> None:
    """Carry out orders until standard input ends."""
    orders = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    trust = ssl.create_default_context(cafile=authority)
    headers = {"Authorization": f"Bearer {token}"}
    async with ClientSession(
        url, headers=headers, connector=TCPConnector(ssl=trust, limit=PARALLEL)
    ) as session:
        async for line in orders:
            await carry_out(session, msgspec.json.decode(line, type=Order))
            print(flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
