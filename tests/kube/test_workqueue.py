"""The queue gives each name to one worker, in the right order and at the right time."""

import asyncio
from collections import Counter
from operator import itemgetter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kube.workqueue import LOW_AFTER, RESOLUTION_SECONDS, Priority, WorkQueue

pytestmark = pytest.mark.looptime(start=0)


class Told:
    """Records the metrics of a queue."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.depth = 0
        self.waited: list[float] = []
        self.worked: list[float] = []

    def added(self, depth: int) -> None:
        self.counts["added"] += 1
        self.depth = depth

    def got(self, depth: int, waited: float) -> None:
        self.depth = depth
        self.waited.append(waited)

    def done(self, worked: float) -> None:
        self.worked.append(worked)

    def retried(self) -> None:
        self.counts["retried"] += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def queue(told: Told) -> WorkQueue[str]:
    return WorkQueue(metrics=told)


async def now_out(queue: WorkQueue[str]) -> list[str]:
    """Everything that can be had without waiting, each marked as done."""
    names = []
    while len(queue):
        name = await queue.get()
        assert name is not None
        queue.done(name)
        names.append(name)
    return names


async def test_names_come_in_the_order_in_which_they_were_added_and_once(
    queue: WorkQueue[str],
) -> None:
    for name in ("a", "b", "a", "c", "b"):
        queue.add(name)
    assert await now_out(queue) == ["a", "b", "c"]


async def test_what_happened_goes_before_retries(queue: WorkQueue[str]) -> None:
    queue.add("retry", Priority.LOW)
    queue.add("later retry", Priority.LOW)
    queue.add("new")
    queue.add("later retry")  # something happened to it meanwhile
    assert await now_out(queue) == ["new", "later retry", "retry"]


async def test_a_retry_does_not_push_back_what_happened(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add("b")
    queue.add("a", Priority.LOW)
    assert await now_out(queue) == ["a", "b"]


async def test_a_retry_that_is_asked_for_twice_keeps_its_place(queue: WorkQueue[str]) -> None:
    for name in ("a", "b", "a"):
        queue.add(name, Priority.LOW)
    assert await now_out(queue) == ["a", "b"]


async def test_a_worker_waits_until_there_is_something(queue: WorkQueue[str]) -> None:
    worker = asyncio.create_task(queue.get())
    asyncio.get_running_loop().call_later(3600, queue.add, "a")
    assert await worker == "a"
    assert asyncio.get_running_loop().time() == 3600


async def test_what_is_added_while_it_is_worked_on_comes_once_more_afterwards(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    assert await queue.get() == "a"
    queue.add("a")
    queue.add("a")
    assert len(queue) == 0  # no other worker gets it now
    queue.done("a")
    assert await now_out(queue) == ["a"]


async def test_a_worker_is_called_when_its_name_is_added_again(queue: WorkQueue[str]) -> None:
    calls: list[str] = []
    queue.add("a")
    await queue.get()
    queue.when_dirty("a", lambda: calls.append("first"))
    assert calls == []
    queue.add("a")
    queue.add("a")
    assert calls == ["first"]
    queue.when_dirty("a", lambda: calls.append("second"))
    assert calls == ["first", "second"]
    queue.done("a")
    await queue.get()
    queue.when_dirty("a", lambda: calls.append("third"))  # nothing new since it was taken again
    queue.done("a")
    queue.add("a")
    await queue.get()
    queue.add("a")
    assert calls == ["first", "second"]


async def test_a_delayed_name_comes_when_it_is_due(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 300)
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 300


@pytest.mark.parametrize("delays", [(300, 5), (5, 300)])
async def test_of_two_delays_the_earlier_counts(
    queue: WorkQueue[str], delays: tuple[float, float]
) -> None:
    for delay in delays:
        queue.add_after("a", delay)
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 5
    queue.done("a")
    await asyncio.sleep(600)
    assert len(queue) == 0  # and it comes once


async def test_what_happens_meanwhile_ends_the_waiting(queue: WorkQueue[str]) -> None:
    queue.add_after("a", 300)
    queue.add("a")
    assert await now_out(queue) == ["a"]
    await asyncio.sleep(600)
    assert len(queue) == 0


async def test_what_is_due_now_needs_no_delay(queue: WorkQueue[str]) -> None:
    queue.add("a")
    queue.add_after("a", 300)
    assert await now_out(queue) == ["a"]
    await asyncio.sleep(600)
    assert len(queue) == 0
    queue.add_after("b", 0)
    assert await now_out(queue) == ["b"]


async def test_a_retry_asked_for_while_working_comes_after_its_delay(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add_after("a", 10)
    queue.done("a")
    assert len(queue) == 0
    assert await queue.get() == "a"
    assert asyncio.get_running_loop().time() == 10


async def test_a_retry_asked_for_while_working_is_not_needed_where_there_is_news(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add_after("a", 10)
    queue.done("a")
    assert await now_out(queue) == ["a"]
    await asyncio.sleep(60)
    assert len(queue) == 0


async def test_news_while_working_stays_news_although_a_retry_is_asked_for_too(
    queue: WorkQueue[str],
) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.add("a", Priority.LOW)
    queue.add("retry", Priority.LOW)
    queue.done("a")
    assert await now_out(queue) == ["a", "retry"]


async def test_a_shut_queue_sends_the_workers_home(queue: WorkQueue[str]) -> None:
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(1)
    queue.add_after("later", 10)
    queue.shutdown()
    assert await asyncio.gather(*workers) == [None, None, None]
    queue.add("a")
    queue.add_after("b", 1)
    await asyncio.sleep(60)
    assert len(queue) == 0
    assert await queue.get() is None


async def test_work_in_hand_at_the_shutdown_can_be_finished(queue: WorkQueue[str]) -> None:
    queue.add("a")
    await queue.get()
    queue.add("a")
    queue.shutdown()
    queue.done("a")
    assert await queue.get() is None


async def test_a_worker_that_is_cancelled_takes_nothing_with_it(queue: WorkQueue[str]) -> None:
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(1)
    queue.add("a")
    worker.cancel()  # just when there is something to do
    await asyncio.gather(worker, return_exceptions=True)
    assert await asyncio.wait_for(queue.get(), 1) == "a"


async def test_it_tells_how_deep_it_is_and_how_long_things_take(
    queue: WorkQueue[str], told: Told
) -> None:
    queue.add("a", Priority.LOW)
    queue.add("b")
    queue.add("a")  # moved forward, not added
    assert (told.counts["added"], told.depth) == (2, 2)
    await asyncio.sleep(5)
    assert await queue.get() == "b"
    await asyncio.sleep(2)
    queue.done("b")
    assert (told.waited, told.worked, told.depth) == ([5], [2], 1)
    assert await queue.get() == "a"
    assert told.waited == [5, 7]
    queue.done("a")
    queue.add_after("c", 1)
    assert told.counts["retried"] == 1


async def test_what_came_before_the_work_began_waits_from_then_on_in_the_same_order(
    queue: WorkQueue[str], told: Told
) -> None:
    queue.add("b")
    queue.add("a")
    queue.add("later", Priority.LOW)
    await asyncio.sleep(3600)
    queue.begin()
    await asyncio.sleep(1)

    assert await now_out(queue) == ["b", "a", "later"]
    assert told.waited == [1, 1, 1]


names = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("add"), names, st.sampled_from(Priority)),
    st.tuples(st.just("add_after"), names, st.integers(0, 20)),
    st.tuples(st.just("sleep"), st.integers(0, 10)),
)


@settings(deadline=None, max_examples=40)
@given(st.lists(steps, max_size=30), st.integers(1, 3))
async def test_nothing_added_is_lost_and_nothing_is_in_two_hands(
    script: list[tuple[object, ...]], hands: int
) -> None:
    """After a name was last added, a worker takes it."""
    loop = asyncio.get_running_loop()
    queue: WorkQueue[str] = WorkQueue(metrics=Told(), group_of=lambda name: name in {"a", "b"})
    working: set[str] = set()
    begun: dict[str, float] = {}
    added: dict[str, float] = {}

    async def work() -> None:
        while (name := await queue.get()) is not None:
            assert name not in working
            working.add(name)
            begun[name] = loop.time()
            await asyncio.sleep(3)
            working.remove(name)
            queue.done(name)

    workers = [asyncio.create_task(work()) for _ in range(hands)]
    for step in script:
        match step:
            case ("add", str(name), Priority() as priority):
                queue.add(name, priority)
                added[name] = loop.time()
            case ("add_after", str(name), int(seconds)):
                queue.add_after(name, seconds)
                added[name] = max(added.get(name, 0.0), loop.time())
            case ("sleep", int(seconds)):
                await asyncio.sleep(seconds)
    await asyncio.sleep(1000)
    assert not working
    assert len(queue) == 0
    assert all(begun[name] >= when for name, when in added.items())
    queue.shutdown()
    await asyncio.gather(*workers)


async def test_one_can_wait_until_no_name_waits(queue: WorkQueue[str]) -> None:
    await queue.wait_empty()
    queue.add("a")
    queue.add("b")
    empty = asyncio.create_task(queue.wait_empty())
    assert await queue.get() == "a"
    await asyncio.sleep(1)
    assert not empty.done()
    assert await queue.get() == "b"
    await empty


async def test_the_rest_of_a_delay_is_never_shorter_than_the_clock_can_tell(
    queue: WorkQueue[str],
) -> None:
    """A timer that fires early must not return its name at the same instant for ever."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for _ in range(10):
        queue.add_after("a", 1e-9)
        key = await queue.get()
        assert key == "a"
        queue.done(key)

    assert loop.time() - began >= 10 * RESOLUTION_SECONDS * 0.9


async def test_a_group_with_many_names_delays_another_group_by_one_name(told: Told) -> None:
    queue: WorkQueue[str] = WorkQueue(told, group_of=itemgetter(0))
    for number in range(1000):
        queue.add(f"a{number}")
    assert await queue.get() == "a0"
    queue.add("b0")
    queue.add("b1")
    queue.add("c0")
    assert (await now_out(queue))[:8] == ["a1", "b0", "c0", "a2", "b1", "a3", "a4", "a5"]
    assert told.depth == 0


async def test_a_group_that_adds_its_names_again_and_again_keeps_its_turn(told: Told) -> None:
    queue: WorkQueue[str] = WorkQueue(told, group_of=itemgetter(0))
    for name in ("a0", "b0", "a1", "b1"):
        queue.add(name)
    order = []
    for _ in range(8):
        name = await queue.get()
        assert name is not None
        order.append(name)
        queue.add(name)
        queue.done(name)
    assert order == ["a0", "b0", "a1", "b1"] * 2


async def test_names_that_never_end_do_not_stop_retries(queue: WorkQueue[str]) -> None:
    for number in range(100):
        queue.add(f"event {number}")
    queue.add("retry", Priority.LOW)
    queue.add("later retry", Priority.LOW)
    order = await now_out(queue)
    assert order.index("retry") == LOW_AFTER
    assert order.index("later retry") == 2 * LOW_AFTER + 1
