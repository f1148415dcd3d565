"""Check on an API server what the cache relies on: versions only rise in a watch.

`test_informer_races.py` shows that the cache converges if that holds.
"""

import asyncio
import json
import random
from collections.abc import Callable

import msgspec
import pytest

from kube.client import JSON, MERGE_PATCH, METADATA
from kube.connection import Connection, ConnectionSettings
from kube.errors import AlreadyExists, Conflict, NotFound
from kube.informer import Informer
from kube.wire import WatchedEvent
from tests.kube.scripted import rng
from tests.kube.test_informer_races import Version, read_version
from tests.support.cluster import Cluster
from tests.support.eventually import eventually

EVERYWHERE = "/api/v1/configmaps"
OURS = {"labelSelector": "kube-test=race"}
NAMES = [f"thing-{number}" for number in range(12)]
ROUNDS = 30


class Watched(Informer[Version]):
    """An informer that notes the kind and the version of each event."""

    def __init__(self, connection: Connection, accept: str) -> None:
        super().__init__(
            connection, EVERYWHERE, decode=read_version, params=OURS, accept=accept, rng=rng()
        )
        self.events: list[tuple[str, int]] = []

    def changed(self, event: WatchedEvent) -> bool:
        self.events.append((event.kind, event.version))
        return super().changed(event)


class Owner:
    """Creates, changes and deletes one object with preconditions, and updates the cache."""

    def __init__(
        self, connection: Connection, cache: Watched, namespace: str, name: str, accept: str
    ) -> None:
        self._connection = connection
        self._cache = cache
        self._place = (namespace, name)
        self._accept = accept
        self._rng = random.Random(name)  # noqa: S311 - the same in every run

    async def work(self) -> None:
        for _ in range(ROUNDS):
            held = self._cache.get(*self._place)
            try:
                if held is None:
                    await self._write("POST", "", {})
                else:
                    await self._change(held.resource_version)
            except (Conflict, AlreadyExists, NotFound):
                await asyncio.sleep(0)  # the other client was faster; the watch brings its change

    async def _change(self, version: str) -> None:
        choice = self._rng.random()
        if choice < 0.6:
            await self._write("PUT", self._place[1], {"resourceVersion": version})
        elif choice < 0.85:
            await self._send("DELETE", {"preconditions": {"resourceVersion": version}})
            self._cache.forget(*self._place, version)
        else:
            await self._send(
                "PATCH", {"metadata": {"resourceVersion": version, "labels": {"kube-test": None}}}
            )
            self._cache.forget(*self._place, version)

    async def _write(self, method: str, name: str, metadata: dict[str, str]) -> None:
        document = {
            "metadata": {"name": self._place[1], "labels": {"kube-test": "race"}, **metadata},
            "data": {"value": str(self._rng.random())},
        }
        path = f"/api/v1/namespaces/{self._place[0]}/configmaps" + (f"/{name}" if name else "")
        answer = await self._connection.request(
            method, path, body=json.dumps(document).encode(), accept=self._accept
        )
        self._cache.record(read_version(msgspec.Raw(answer)))

    async def _send(self, method: str, document: object) -> None:
        await send(self._connection, method, *self._place, document)


async def send(
    connection: Connection, method: str, namespace: str, name: str, document: object
) -> None:
    await connection.request(
        method,
        f"/api/v1/namespaces/{namespace}/configmaps/{name}",
        body=json.dumps(document).encode(),
        content_type=MERGE_PATCH if method == "PATCH" else "application/json",
    )


async def meddle(connection: Connection, namespaces: list[str], seed: int) -> None:
    """A stranger who removes, edits, marks and un-marks whatever there is."""
    rng = random.Random(seed)  # noqa: S311 - the same in every run
    for _ in range(2 * ROUNDS):
        place = (rng.choice(namespaces), rng.choice(NAMES))
        labels = {"kube-test": rng.choice([None, "race"])}
        edit = {"metadata": {"labels": labels}, "data": {"stranger": str(rng.random())}}
        method, document = rng.choice([("DELETE", {}), ("PATCH", edit)])
        try:
            await send(connection, method, *place, document)
        except NotFound:
            await asyncio.sleep(0)


@pytest.mark.parametrize("accept", [JSON, METADATA], ids=["whole", "metadata"])
async def test_in_the_thick_of_it_versions_only_rise_and_the_cache_ends_as_the_server_is(
    cluster: Cluster, new_namespace: Callable[..., str], accept: str
) -> None:
    namespaces = [new_namespace(), new_namespace()]
    async with Connection.open(ConnectionSettings(kubeconfig=cluster.kubeconfig)) as connection:
        cache = Watched(connection, accept)
        watching = asyncio.create_task(cache.run())
        await asyncio.wait_for(cache.synced.wait(), 20)
        owners = (
            Owner(connection, cache, namespace, name, accept)
            for namespace in namespaces
            for name in NAMES
        )
        strangers = (meddle(connection, namespaces, seed) for seed in range(4))
        await asyncio.gather(*(owner.work() for owner in owners), *strangers)

        async def agrees() -> bool:
            stored = json.loads(await connection.request("GET", EVERYWHERE, params=OURS))["items"]
            return set(cache.values()) == {
                read_version(msgspec.Raw(json.dumps(each).encode())) for each in stored
            }

        await eventually(agrees)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    versions = [version for _, version in cache.events]
    assert versions == sorted(versions)
    assert {kind for kind, _ in cache.events} == {"ADDED", "MODIFIED", "DELETED"}
