"""A cluster, the reconciler in it, and a clock that jumps: what a history needs beneath its rules.

The event loop is this story's own and its time is virtual (looptime). Nothing happens while nobody lets time pass; what the reconciler gets
done in between is up to the paces of its requests (`door.py`).
"""

import asyncio
import gc
import logging
import random
import traceback
from collections.abc import Coroutine, Mapping, MutableMapping
from typing import Any, TypeVar

import looptime
import structlog

from devcluster.errors import ApiStatus
from tests.randomized.cluster import CONFIGMAPS, NAMESPACES, SYNCS, InMemoryCluster, encoded
from tests.randomized.fake_connection import FakeConnection, FaultState
from tests.randomized.guard import Guard
from tests.randomized.replica import Replica
from tests.randomized.world import Document, Place, World

HOMES = {
    "home": {},
    "web": {"tier": "front"},
    "team-a": {"tier": "front", "team": "a"},
    "team-b": {"team": "b"},
    "kube-system": {},
}
PAUSES = (
    0.0,
    0.0,
    0.003,
    0.03,
    0.4,
    3.0,
)  # seconds before anybody does anything; a rule can let more pass
SOON = 5.0  # seconds
LOOKS = (
    5.0,
    60.0,
    640.0,
    640.0,
    640.0,
    640.0,
)  # seconds between looks at whether all is right: longer than any backoff, fight or grace
QUIET = 3600.0  # seconds in which nothing may be written then

Result = TypeVar("Result")


class Story:
    """One history from its beginning to its end."""

    def __init__(self) -> None:
        super().__init__()
        self._complaints: list[str] = []
        self._former_logs = structlog.get_config()
        structlog.configure(
            processors=[self._hear],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            cache_logger_on_first_use=False,
        )
        self.quiet = QUIET
        self.held: set[Place] = set()
        self._loop = looptime.new_event_loop(noop_cycles=0)
        self._loop.set_exception_handler(self._hear_loop)
        self.cluster = InMemoryCluster(self._loop.time)
        self.guard = Guard(self.cluster)
        self.world = World(self.cluster)
        self.weather = FaultState(random.Random(0))  # noqa: S311 - how long requests take
        self._play(self.cluster.begin(HOMES))
        self._replica = self._play(self._start())

    def teardown(self) -> None:
        """Let everything come to rest, see that it is right, and that it stays so in silence."""
        try:
            self._settle()
        finally:
            self._play(self._end())
            self._loop.close()
            gc.unfreeze()  # the reconciler froze what was there when it started: of use once in a process, not a thousand times
            structlog.configure(**self._former_logs)

    def pass_time(self, seconds: float) -> None:
        """Let the reconciler work; where it is killed, the next one begins at once."""
        self._play(self._live(seconds))

    def look(self) -> None:
        """What may never be wrong."""
        problem = self._replica.problem
        wrong = [*self.guard.violations, *self._complaints, *([problem] if problem else [])]
        assert not wrong, "\n".join(wrong)

    def put(self, key: tuple[str, str], document: Document) -> bool:
        """Create an object as a user does, or replace the one that is there; returns whether the API server took it."""
        namespace, name = document["metadata"].get("namespace", ""), document["metadata"]["name"]
        if self.cluster.find(key, namespace, name) is None:
            return self._ask("POST", _path(key, namespace), document)
        return self._ask("PUT", _path(key, namespace, name), document)

    def patch(self, key: tuple[str, str], place: Place, change: Mapping[str, Any]) -> bool:
        """Merge a change into an object."""
        return self._ask("PATCH", _path(key, *place), change, "application/merge-patch+json")

    def remove(self, key: tuple[str, str], place: Place) -> bool:
        """Delete an object."""
        return self._ask("DELETE", _path(key, *place), None)

    def kill(self) -> None:
        """Kill the reconciler where it stands, and start the next."""
        self._play(self._restart())

    def cut_watches(self) -> None:
        """Break every watch off."""
        self._replica.door.cut_watches()

    def _settle(self) -> None:
        self.look()
        self.weather.clear()
        for place in self.held:
            self.patch(CONFIGMAPS, place, {"metadata": {"finalizers": None}})
        problems = self._play(self._rest())
        self.look()
        assert not problems, "\n".join(problems)
        before = self._replica.door.writes
        self.pass_time(self.quiet)
        self.look()
        assert self._replica.door.writes == before, (
            "there was nothing left to do, and something was written"
        )

    async def _rest(self) -> list[str]:
        """Let time pass until all is right and nothing happens any more; returns what is still wrong when it has had time enough."""
        problems: list[str] = []
        await asyncio.gather(*self.weather.late)
        for seconds in LOOKS:
            written = self._replica.door.writes
            await self.cluster.end_namespaces()
            await self._live(seconds)
            problems = list(self.world.problems())
            if not problems and seconds > SOON and self._replica.door.writes == written:
                break
        return problems

    async def _start(self) -> Replica:
        return Replica(
            FakeConnection(self.cluster, self.weather, self.guard.look), self.cluster.now
        )

    async def _restart(self) -> None:
        await self._replica.kill(spared=self.weather.late)
        self._replica = await self._start()

    async def _end(self) -> None:
        await self._replica.kill(spared=set())

    async def _live(self, seconds: float) -> None:
        end = self._loop.time() + seconds
        while (left := end - self._loop.time()) > 0:
            try:
                async with asyncio.timeout(left):
                    await self._replica.door.killed.wait()
            except TimeoutError:
                return
            await self._restart()

    def _ask(
        self,
        method: str,
        path: str,
        document: Document | None,
        content_type: str = "application/json",
    ) -> bool:
        self.pass_time(self.weather.rng.choice(PAUSES))
        body = encoded(document) if document is not None else b""
        try:
            self._play(self.cluster.call(method, path, body=body, content_type=content_type))
        except ApiStatus:
            return False
        return True

    def _play(self, scene: Coroutine[Any, Any, Result]) -> Result:
        return self._loop.run_until_complete(scene)

    def _hear_loop(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody waited for; a process that is killed leaves much of that."""
        if not isinstance(context.get("exception"), asyncio.CancelledError | type(None)):
            self._complaints.append(str(context))

    def _hear(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        """Nothing that is logged as an error may happen: those are the mistakes that the reconciler survives."""
        self._complaints.append(f"{event}\n{traceback.format_exc()}")
        raise structlog.DropEvent


def _path(key: tuple[str, str], namespace: str, name: str = "") -> str:
    group, plural = key
    base = f"/apis/{group}/v1" if group else "/api/v1"
    home = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{home}/{plural}" + (f"/{name}" if name else "")


__all__ = ["CONFIGMAPS", "NAMESPACES", "SYNCS", "Story"]
