"""A user that fills all its slots leaves the slots of other users free."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from webhook.review_slots import Limits, ReviewSlots, TooManyReviewsError, share_of

pytestmark = pytest.mark.looptime(start=0)
LIMITS = Limits(
    running=6,
    running_per_user=2,
    waiting=10,
    waiting_per_user=3,
    bytes=500,
    bytes_per_user=100,
    wait_seconds=2.0,
)


class Desk:
    """Slots, and reviews that hold them until they are ended."""

    def __init__(self) -> None:
        self.slots = ReviewSlots(LIMITS)
        self.running: list[str] = []
        self.most: dict[str, int] = {}

    async def review(self, user: str, end: asyncio.Event) -> None:
        async with self.slots.slot(user):
            self.running.append(user)
            self.most[user] = max(self.most.get(user, 0), self.running.count(user))
            await end.wait()
            self.running.remove(user)


@pytest.fixture
async def desk() -> Desk:
    return Desk()


async def test_a_user_with_slow_reviews_takes_the_slots_of_this_user_only(desk: Desk) -> None:
    never, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    slow = [asyncio.create_task(desk.review("tenant", never)) for _ in range(5)]
    await asyncio.sleep(0)

    for _ in range(20):
        await desk.review("other", at_once)

    assert desk.running == ["tenant", "tenant"]
    assert asyncio.get_running_loop().time() == 0.0, "no review of another user waited"
    assert {type(error) for error in await asyncio.gather(*slow[2:], return_exceptions=True)} == {
        TooManyReviewsError
    }
    for task in slow:
        task.cancel()


async def test_a_review_is_rejected_if_the_wait_or_the_queue_is_too_long(desk: Desk) -> None:
    never = asyncio.Event()
    waiting = [asyncio.create_task(desk.review("tenant", never)) for _ in range(5)]
    await asyncio.sleep(0)

    with pytest.raises(TooManyReviewsError, match="2 of them for this user; try again"):
        await desk.review("tenant", never)
    assert asyncio.get_running_loop().time() == 0.0
    with pytest.raises(TooManyReviewsError):
        await waiting[-1]
    assert asyncio.get_running_loop().time() == LIMITS.wait_seconds
    for task in waiting:
        task.cancel()


async def test_the_specs_of_one_user_are_bounded_together(desk: Desk) -> None:
    async with desk.slots.slot("tenant", 60):
        with pytest.raises(TooManyReviewsError):
            async with desk.slots.slot("tenant", 60):
                pass
        async with desk.slots.slot("tenant", 40), desk.slots.slot("other", 60):
            pass
    async with desk.slots.slot("tenant", 100):
        pass


async def test_waiting_users_take_turns(desk: Desk) -> None:
    order: list[str] = []

    async def short(user: str) -> None:
        async with desk.slots.slot(user):
            order.append(user)

    async with AsyncExitStack() as full:
        for user in ("x", "x", "y", "y", "z", "z"):
            await full.enter_async_context(desk.slots.slot(user))
        tasks = [asyncio.create_task(short(user)) for user in ("a", "a", "a", "b", "c")]
        await asyncio.sleep(0)
        assert order == []
    await asyncio.gather(*tasks)

    assert sorted(order[:3]) == ["a", "b", "c"]


async def test_no_slot_is_lost_however_reviews_end(desk: Desk) -> None:
    end = asyncio.Event()
    tasks = [asyncio.create_task(desk.review(f"user-{number % 7}", end)) for number in range(16)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.sleep(0.1)
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)

    async with AsyncExitStack() as all_free:
        for number in range(LIMITS.running):
            await all_free.enter_async_context(desk.slots.slot(f"fresh-{number // 2}"))
        assert asyncio.get_running_loop().time() < 1
    assert desk.slots._users == {}, "a user without reviews is forgotten"


async def test_a_slot_that_was_granted_to_a_cancelled_review_goes_to_the_next(desk: Desk) -> None:
    first, end = asyncio.Event(), asyncio.Event()
    holding = [asyncio.create_task(desk.review("tenant", first)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(desk.review("tenant", end)) for _ in range(2)]
    await asyncio.sleep(0)
    holding[0].cancel()
    await asyncio.sleep(0)  # the slot is granted to the first that waits, which has not run yet
    waiting[0].cancel()
    await asyncio.sleep(0.1)

    assert desk.running.count("tenant") >= 2
    first.set()
    end.set()
    await asyncio.gather(*holding, *waiting, return_exceptions=True)


def test_the_service_accounts_of_one_namespace_share_their_slots() -> None:
    accounts = [f"system:serviceaccount:team:{name}" for name in ("a", "b")]
    assert len({share_of(account) for account in accounts}) == 1
    assert share_of("system:serviceaccount:other:a") != share_of(accounts[0])
    assert share_of("alice") == "alice"
