"""Check that many reads of one namespace become a list, at a bounded cost."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest

from configmapsync.names import NamespacedName
from kube.client import Client
from kube.errors import ApiError, NotFound, Unreachable
from kube.paging import FIRST_PAGE_FULL
from reconciler.known.sources import MANY_READS, PAUSE_SECONDS, Raw, SourceReads

pytestmark = pytest.mark.looptime(start=0)


class World:
    """A namespace with numbered ConfigMaps, of which the prefetch wants some."""

    def __init__(self, size: int, wanted: int) -> None:
        self.names = [f"source-{number:05}" for number in range(size)]
        self.wanted = set(self.names[:wanted])
        self.requests: Counter[str] = Counter()
        self.prefetched: set[str] = set()
        self.failing: set[str] = set()
        self.reads = SourceReads(Client(self), self._prefetch)  # type: ignore[arg-type]

    async def request(self, _method: str, path: str, **options: Any) -> bytes:
        name = path.partition("/configmaps")[2].strip("/")
        kind = "get" if name else "list"
        self.requests[kind] += 1
        await asyncio.sleep(0.1)
        if kind in self.failing:
            raise Unreachable("away")
        if name:
            if name not in self.names:
                raise NotFound("there is none")
            return json.dumps(self._document(name)).encode()
        return self._page(options["params"])

    def _page(self, params: dict[str, str]) -> bytes:
        start, size = int(params.get("continue", "0")), int(params["limit"])
        names = self.names[start : start + size]
        more = {"continue": str(start + size)} if start + size < len(self.names) else {}
        items = [self._document(name) for name in names]
        return json.dumps({"metadata": {"resourceVersion": "9", **more}, "items": items}).encode()

    @staticmethod
    def _document(name: str) -> dict[str, Any]:
        return {"metadata": {"namespace": "home", "name": name, "resourceVersion": "5"}}

    def _prefetch(self, key: NamespacedName, _raw: Raw) -> bool:
        if key.name in self.wanted:
            self.prefetched.add(key.name)
        return key.name in self.wanted

    async def read(self, *names: str) -> list[str | None]:
        """Read ConfigMaps at the same time; return their names, None for a missing one."""
        found = await asyncio.gather(
            *(self.reads.get(NamespacedName("home", name)) for name in names)
        )
        return [json.loads(bytes(raw))["metadata"]["name"] if raw else None for raw in found]


async def test_few_reads_are_sent_one_by_one() -> None:
    world = World(1000, 1000)
    names = world.names[:MANY_READS]

    assert await world.read(*names) == names
    assert world.requests == {"get": MANY_READS}


async def test_many_reads_wait_for_a_list_that_brings_the_next_sources_as_well() -> None:
    world = World(1000, 1000)
    names = world.names[:50]

    assert await world.read(*names) == names
    await asyncio.sleep(60)  # of virtual time, for the other pages
    assert world.requests["get"] == MANY_READS
    assert world.requests["list"] <= 5
    assert len(world.prefetched) == 1000 - 50 + MANY_READS


async def test_a_namespace_with_few_sources_is_not_listed_whole() -> None:
    world = World(100_000, 5)
    names = [world.names[FIRST_PAGE_FULL + number] for number in range(50)]

    assert await world.read(*names) == names
    assert world.requests == {"get": 50, "list": 1}
    assert await world.read(*names) == names
    assert world.requests["list"] == 1, "a second list follows too early"
    await asyncio.sleep(PAUSE_SECONDS)
    assert await world.read(*names) == names
    assert world.requests["list"] == 2


async def test_a_missing_source_among_many_is_missing() -> None:
    world = World(20, 20)
    names = ["none", *world.names]

    assert await world.read(*names[1:], "none") == [*names[1:], None]


async def test_a_failing_list_leaves_the_single_reads() -> None:
    world = World(50, 50)
    world.failing = {"list"}

    assert await world.read(*world.names) == world.names


async def test_an_error_of_a_single_read_reaches_its_reader() -> None:
    world = World(50, 50)
    world.failing = {"get"}
    with pytest.raises(ApiError, match="away"):
        await world.read(world.names[0])
