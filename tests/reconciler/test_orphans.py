"""An orphan is handled after ten minutes without its sync, and not before.

All watches must work in this time, and the API server must confirm at the end.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from configmapsync.names import NamespacedName
from kube.client import Client
from kube.errors import ApiError, NotFound, ServerError
from reconciler.known.orphans import Orphans
from tests.plugin.objects import sync_record

pytestmark = pytest.mark.looptime(start=0)
SYNC = NamespacedName("home", "sync")
GRACE_SECONDS = 600.0


@dataclass
class World:
    """The answers of the API server, and the state of the watches."""

    answer: ApiError | bytes = field(
        default_factory=lambda: NotFound(status=404, reason="NotFound", message="gone")
    )
    healthy: bool = True
    asked: int = 0
    copies: tuple[str, ...] = ("a copy",)
    handlers: list[Any] = field(default_factory=list)

    @property
    def syncs(self) -> "World":
        return self

    def on_change(self, handler: Any) -> None:
        self.handlers.append(handler)

    def orphans_of(self, _sync: NamespacedName) -> tuple[str, ...]:
        return self.copies

    async def request(self, *_arguments: Any, **_options: Any) -> bytes:
        self.asked += 1
        if isinstance(self.answer, ApiError):
            raise self.answer
        return self.answer


def orphans(world: World) -> Orphans:
    return Orphans(Client(world), world, asyncio.get_running_loop().time, GRACE_SECONDS)  # type: ignore[arg-type]


async def seconds_until_handled(waiting: Orphans, at_most: float = 10 * GRACE_SECONDS) -> float:
    """Return the seconds until the orphan is handled, checking at the returned intervals."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while wait := await waiting.wait(SYNC):
        assert loop.time() - began < at_most
        await asyncio.sleep(wait)
    return loop.time() - began


async def test_copies_without_a_sync_are_handled_after_ten_minutes() -> None:
    world = World()

    assert await seconds_until_handled(orphans(world)) == pytest.approx(GRACE_SECONDS)
    assert world.asked == 1


async def test_the_time_starts_again_after_a_watch_failed() -> None:
    world = World()
    waiting = orphans(world)
    await waiting.wait(SYNC)
    await asyncio.sleep(GRACE_SECONDS / 2)
    world.healthy = False
    await waiting.wait(SYNC)
    world.healthy = True

    assert await seconds_until_handled(waiting) == pytest.approx(GRACE_SECONDS)


async def test_no_orphan_is_handled_while_a_watch_fails() -> None:
    waiting = orphans(World(healthy=False))

    with pytest.raises(AssertionError):
        await seconds_until_handled(waiting)


async def test_the_api_server_is_asked_before_an_orphan_is_handled() -> None:
    world = World(answer=b"{}")
    waiting = orphans(world)

    with pytest.raises(AssertionError):
        await seconds_until_handled(waiting)
    world.answer = ServerError(status=500, reason="InternalError", message="down")
    with pytest.raises(ServerError):
        await seconds_until_handled(waiting)


async def test_the_time_starts_again_after_the_last_copy_was_gone() -> None:
    world = World()
    waiting = orphans(world)
    await waiting.wait(SYNC)
    await asyncio.sleep(GRACE_SECONDS - 1)
    world.copies = ()
    assert await waiting.wait(SYNC) == 0.0
    world.copies = ("another copy",)

    assert await seconds_until_handled(waiting) == pytest.approx(GRACE_SECONDS)


async def test_the_time_starts_again_after_the_sync_existed() -> None:
    world = World()
    waiting = orphans(world)
    await waiting.wait(SYNC)
    await asyncio.sleep(GRACE_SECONDS - 1)
    (changed,) = world.handlers
    changed(None, sync_record(str(SYNC)))
    changed(sync_record(str(SYNC)), None)

    assert await seconds_until_handled(waiting) == pytest.approx(GRACE_SECONDS)
