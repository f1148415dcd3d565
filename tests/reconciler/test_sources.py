"""Several syncs may read a source while it is edited; none keeps stale content."""

import asyncio
import json
import random
from typing import Any

import msgspec
import pytest

from cluster.syncs import SyncRecord, read_sync
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from kube.client import Client
from kube.errors import Malformed, NotFound
from kube.wire import event_of
from reconciler.known.caches import Caches
from reconciler.known.sources import Sources

pytestmark = pytest.mark.looptime(start=0)
KEY = NamespacedName("home", "config")
MEBIBYTE = 1 << 20


def sync_of(source: NamespacedName) -> SyncRecord:
    """Return a sync that copies `source`."""
    metadata = {"namespace": source.namespace, "name": source.name, "resourceVersion": "1"}
    spec = {"configMapName": source.name, "destinationNamespace": "there"}
    document = {"metadata": metadata | {"uid": str(source)}, "spec": spec}
    return read_sync(json.dumps(document).encode(), frozenset())


class World:
    """One ConfigMap, its watch, and the syncs that read it."""

    def __init__(self, limit: int = MEBIBYTE) -> None:
        self.version = 0  # 0 if there is none
        self.labels: dict[str, str] = {}
        self.reads = 0
        # The versions that the next reads return; all later reads return the last one.
        self.seconds = [0.01]
        self.changes: list[str | None] = []
        rng = random.Random(1)  # noqa: S311 - jitter, not secrets
        self.caches = Caches(self, frozenset(), rng, limit)  # type: ignore[arg-type]
        self.versions = self.caches.versions
        self.caches.syncs.record(sync_of(KEY))
        self.versions.list_began(0)
        self.versions.list_complete(1)
        self.versions.on_change(
            lambda _, new: self.changes.append(new.resource_version if new else None)
        )
        self.sources = Sources(Client(self), self.caches)  # type: ignore[arg-type]

    async def request(self, method: str, path: str, **_options: Any) -> bytes:
        assert (method, path) == ("GET", "/api/v1/namespaces/home/configmaps/config")
        self.reads += 1
        served = self.document(self.version) if self.version else None
        await asyncio.sleep(self.seconds.pop(0) if len(self.seconds) > 1 else self.seconds[0])
        if served is None:
            raise NotFound("there is none")
        return json.dumps(served).encode()

    def document(self, version: int) -> dict[str, Any]:
        metadata = {"namespace": "home", "name": "config", "resourceVersion": str(version)}
        labels = {"labels": self.labels} if self.labels else {}
        return {"metadata": metadata | labels, "data": {"version": str(version)}}

    def change(self, version: int) -> None:
        """Edit or create the ConfigMap before the watch reports it."""
        self.version = version

    def event(self, change: str, version: int, kind: str = "PartialObjectMetadata") -> None:
        """Deliver the watch event."""
        document = self.document(version) | {"kind": kind}
        self.versions.changed(event_of(change, msgspec.Raw(json.dumps(document).encode())))

    async def read(self) -> str | None:
        """Return the version that a sync reads now."""
        source = await self.sources.read(KEY)
        return source.content.data["version"] if source else None


@pytest.fixture
async def world() -> World:
    return World()


async def test_an_unchanged_source_is_read_once(world: World) -> None:
    world.change(10)

    assert [await world.read() for _ in range(5)] == ["10"] * 5
    assert world.reads == 1


async def test_a_change_is_read_once_for_all(world: World) -> None:
    world.change(10)
    await world.read()
    world.change(11)
    world.event("MODIFIED", 11)

    assert [await world.read() for _ in range(5)] == ["11"] * 5
    assert world.reads == 2
    assert world.changes == ["11"]


async def test_a_read_ahead_of_the_watch_hides_no_change_from_other_syncs(world: World) -> None:
    world.change(10)
    await world.read()
    world.change(11)
    world.event("MODIFIED", 11)
    world.seconds = [0.5, 0.1]
    slow = asyncio.create_task(world.read())
    await asyncio.sleep(0)
    world.change(12)

    assert await world.read() == "12"
    assert await slow == "11"
    world.event("MODIFIED", 12)

    assert world.changes == ["11", "12"], "the slow reader must be notified"
    assert await world.read() == "12"


async def test_the_older_of_two_first_reads_is_discarded(world: World) -> None:
    world.change(10)
    world.seconds = [0.5, 0.1]
    slow = asyncio.create_task(world.read())
    await asyncio.sleep(0)
    world.change(11)

    assert await world.read() == "11"
    assert await slow == "11"


async def test_a_read_of_a_source_deleted_meanwhile_is_discarded(world: World) -> None:
    world.change(10)
    world.seconds = [0.5, 0.1]
    slow = asyncio.create_task(world.read())
    await asyncio.sleep(0)
    world.change(0)

    assert await world.read() is None
    world.event("DELETED", 11)

    assert await slow is None


async def test_a_source_that_appears_late_is_reported(world: World) -> None:
    assert await world.read() is None
    world.seconds = [0.5, 0.1]
    slow = asyncio.create_task(world.read())
    await asyncio.sleep(0)
    world.change(10)
    world.event("ADDED", 10)

    assert await slow is None
    assert world.changes == ["10"]
    assert await world.read() == "10"


async def test_a_restored_cluster_with_older_versions_is_accepted(world: World) -> None:
    """After a restore of its storage, all former versions are newer than the present ones."""
    world.change(10)
    await world.read()
    world.event("MODIFIED", 99)

    assert await world.read() == "10"
    assert world.reads < 6


async def test_a_source_that_does_not_fit_the_cache_is_read_again(world: World) -> None:
    small = World(limit=0)
    small.change(10)

    assert [await small.read() for _ in range(3)] == ["10"] * 3
    assert small.reads == 3


async def test_an_event_with_the_content_needs_no_read(world: World) -> None:
    world.change(10)
    await world.read()
    world.change(11)
    world.event("MODIFIED", 11, kind="ConfigMap")

    assert await world.read() == "11"
    assert world.reads == 1


async def test_an_event_older_than_a_read_does_not_replace_it(world: World) -> None:
    world.change(10)
    await world.read()
    world.change(12)
    world.event("MODIFIED", 11)
    assert await world.read() == "12"

    world.event("MODIFIED", 11, kind="ConfigMap")
    world.event("MODIFIED", 12, kind="ConfigMap")
    assert await world.read() == "12"


async def test_a_listed_version_without_content_makes_the_kept_content_stale(world: World) -> None:
    world.change(10)
    await world.read()
    world.change(11)
    world.versions.list_began(11)
    world.versions.listed(msgspec.Raw(json.dumps(world.document(11)).encode()))
    world.versions.list_complete(11)

    assert await world.read() == "11"
    assert world.reads == 2


async def test_content_that_a_watch_cannot_deliver_whole_is_an_error_and_then_read(
    world: World,
) -> None:
    world.change(10)
    await world.read()
    broken = world.document(11) | {"kind": "ConfigMap", "data": {"version": 7}}
    world.versions.changed(event_of("MODIFIED", msgspec.Raw(json.dumps(broken).encode())))
    world.change(11)
    with pytest.raises(Malformed):
        await world.read()

    assert await world.read() == "11"


async def test_a_source_with_the_label_of_copies_is_followed_by_the_watch_of_copies(
    world: World,
) -> None:
    world.labels = {MANAGED_BY_LABEL: MANAGED_BY_VALUE}
    world.change(10)

    assert await world.read() == "10"
    assert world.versions.get(*KEY) is None
    world.change(11)
    document = world.document(11) | {"kind": "ConfigMap"}
    world.caches.copies.changed(event_of("MODIFIED", msgspec.Raw(json.dumps(document).encode())))
    assert await world.read() == "11"
    assert world.reads == 1
