"""Leader election: of several processes, the one that holds a Lease works; the others are ready, and wait for it.

Four rules make that safe, whatever pauses, fails or lies:

- A holder is believed for as long as it asked for since its record last *changed before our eyes*, by a clock of our own that only ever runs
  forward. The times in the record are written for people; nobody compares them, so no wall clock can be wrong enough to matter.
- Every write carries the version that it was decided on. Who is late, or was fooled by a watch that lagged, gets a Conflict and nothing else.
- A holder counts from the moment *before* it asked for its last renewal, and only up to the renew deadline, which is shorter than what the others
  wait. When it stops believing in itself, nobody else can have begun.
- What it does meanwhile goes through a fence (`Elector.check`, asked by `connection.py` before each mutating request is sent): a leader that was
  stopped and wakes up late writes nothing.

One thing no fence can stop: a request of which a part is sent when the process is stopped, or that the network keeps for long. The API server may
carry it out after somebody else has begun. So writes must carry preconditions besides: then such a request changes only what nobody has touched
since, and the successor sees that change as it sees any other. The record itself is read and written by `lease_record.py`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import structlog

from kube.errors import AlreadyExists, ApiError, Conflict, Fenced, NotFound
from kube.lease_record import LeaseRecord, LeaseSpec, Sighting

# A holder asks for this many seconds at most, and is believed for no more, whatever its record says: a record with an absurd
# duration would otherwise keep the Lease for years.
LONGEST_DURATION_SECONDS = 600
JITTER = 0.2  # of the retry period, added by chance: many that began together do not ask together
WATCH_SECONDS = (290, 590)  # how long the server is asked to keep a watch
NEVER = float("-inf")


class LeaseLost(Exception):
    """The Lease is not ours any more, or may not be: stop working, at once."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient everybody is.

    Attributes:
        duration: whole seconds for which a holder that says nothing is believed.
        renew_deadline: seconds after which a holder that could not renew gives up.
        retry_period: seconds between two renewals, and between two tries.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what would let two hold it at once, or nobody for long.

        Raises:
            ValueError: the three do not fit together.
        """
        if self.retry_period <= 0:
            raise ValueError("the retry period must be more than 0 seconds")
        if self.renew_deadline <= self.retry_period * (1 + JITTER):
            raise ValueError(
                f"the renew deadline must be more than the retry period and its jitter, {JITTER:.0%}"
            )
        if self.duration <= self.renew_deadline:
            raise ValueError("the lease duration must be more than the renew deadline")
        if self.duration > LONGEST_DURATION_SECONDS:
            raise ValueError(
                f"the lease duration must be at most {LONGEST_DURATION_SECONDS} seconds"
            )


class Elector:
    """One candidate for one Lease."""

    def __init__(
        self,
        record: LeaseRecord,
        identity: str,
        timing: Timing,
        *,
        now: Callable[[], float],
        clock: Callable[[], datetime],
        rng: random.Random,
    ) -> None:
        """Prepare; nothing is sent before `leadership`.

        Args:
            record: what is contended for, over a connection of its own: no other request may hold up a renewal, and no fence.
            identity: who we are; nobody else may ever be called so.
            timing: how patient to be.
            now: seconds, by a clock that only runs forward, also while the process is stopped, and is never cached: the event loop's may be.
            clock: the time of day, for people.
            rng: for jitter.
        """
        self._record = record
        self._identity = identity
        self._timing = timing
        self._now = now
        self._clock = clock
        self._rng = rng
        self._spec = LeaseSpec()  # as last seen, also after the record was deleted
        self._version: str | None = None  # None where there is no record
        self._free_at = NEVER  # when the holder in the record may be believed no longer
        self._held_until = NEVER
        self._log = structlog.get_logger("lease").bind(lease=record.path, identity=identity)
        self.problem: ApiError | None = None

    @property
    def leading(self) -> bool:
        """Whether the Lease is ours for certain, at this moment."""
        return self._now() < self._held_until

    @property
    def holder(self) -> str:
        """Who holds it, as far as we have heard; empty where nobody does, or nothing was heard yet."""
        return self._spec.holder_identity or ""

    def check(self) -> None:
        """Be the fence of a connection.

        Raises:
            Fenced: the Lease is not ours for certain: nothing may be written.
        """
        if not self.leading:
            raise Fenced("not sent: the Lease that allows us to write is not ours")

    @asynccontextmanager
    async def leadership(self) -> AsyncIterator[None]:
        """Wait for the Lease, hold it during the block, and give it back when the block ends well.

        A block that is cancelled or fails may leave writes behind that are still carried out, so its Lease is left to run out.

        Raises:
            LeaseLost: in a group, after the block was cancelled.
        """
        await self._acquire()
        self._log.info("leading", transitions=self._spec.lease_transitions)
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew_until_lost())
                yield
                renewing.cancel()
        finally:
            self._held_until = NEVER  # before anybody else may write, we do not
        await self._release()

    async def _acquire(self) -> None:
        """Try, and follow the record in between, until it is ours."""
        while not self.leading:
            try:
                await self._look()
                if self._free_in == 0:
                    await self._claim()
                elif self._version is not None:
                    await self._follow()
                self.problem = None
                pause = min(
                    self._pause() / 2, self._free_in
                )  # between two watches as well a release is seen soon
            except (Conflict, AlreadyExists):
                pause = self._pause() / 2  # somebody was faster
            except ApiError as error:
                self._note(error)
                pause = max(self._pause(), min(error.retry_after or 0.0, self._timing.duration))
            await asyncio.sleep(pause)

    async def _renew_until_lost(self) -> NoReturn:
        """Renew again and again.

        Raises:
            LeaseLost: somebody else holds it, or we could not renew it in time.
        """
        pause = self._pause()
        while True:
            await asyncio.sleep(min(pause, self._left))
            if not self.leading:
                cause = self.problem or "the process was held up"
                raise self._lost(f"not renewed for {self._timing.renew_deadline:g} s: {cause}")
            pause = await self._renew()

    async def _renew(self) -> float:
        """Try to renew, for as long as we hold the Lease; returns the seconds until the next try."""
        try:
            async with asyncio.timeout(self._left):
                await self._as_holder(self._claim)
        except TimeoutError:
            return 0.0
        except ApiError as error:
            self._note(error)
            # A server's wish counts, but who waits for too long loses the Lease: half of what is left, at most.
            return max(self._pause(), min(error.retry_after or 0.0, self._left / 2))
        return self._pause()

    async def _release(self) -> None:
        """Leave the record without a holder, so that the next one need not wait until it has run out."""
        try:
            await self._as_holder(lambda: self._write(self._spec.released(self._clock())))
        except (ApiError, LeaseLost) as error:
            self._log.warning(
                "the Lease could not be given back, it will run out", error=str(error)
            )
        else:
            self._log.info("gave the Lease back")

    async def _follow(self) -> None:
        """Wait for one sign of life after the other, until the holder has let go or been silent for too long."""
        loop = asyncio.get_running_loop()
        changes = self._record.follow(self._version or "", self._rng.randint(*WATCH_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._free_in) as patience, changes as sightings:
                async for sighting in sightings:
                    self._observe(sighting)
                    if sighting is None or self._free_in == 0:
                        return
                    patience.reschedule(loop.time() + self._free_in)

    async def _look(self) -> None:
        self._observe(await self._record.read(self._timeout))

    async def _claim(self) -> None:
        """Write ourselves in as the holder, or once more as the holder, over the version that was seen."""
        asked = self._now()
        await self._write(
            self._spec.claimed_by(self._identity, self._timing.duration, self._clock())
        )
        self._held_until = asked + self._timing.renew_deadline
        self.problem = None

    async def _as_holder(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write. Where the record is not as we left it and yet ours, write once more.

        It was edited by a third party, or deleted, or a write of ours was carried out whose answer we have not heard.
        """
        try:
            await write()
        except (Conflict, NotFound, AlreadyExists):
            await self._look()
            if self._version is not None and self.holder != self._identity:
                raise self._lost(f"{self.holder or 'nobody'} holds it now") from None
            await write()

    async def _write(self, spec: LeaseSpec) -> None:
        self._observe(await self._record.write(spec, self._version, self._timeout))

    def _lost(self, why: str) -> LeaseLost:
        self._held_until = NEVER
        self._log.error("the Lease is lost", why=why)
        return LeaseLost(why)

    def _observe(self, sighting: Sighting | None) -> None:
        """Note what the record says. Any change of it counts as a sign of life; its absence does not, and is no sign of death either."""
        if sighting is None:
            self._version = None
            return
        if sighting.version == self._version:
            return
        previous = self.holder
        self._version, self._spec = sighting
        others = self.holder not in {"", self._identity}
        self._free_at = self._now() + (self._believed_for() if others else 0)
        if others and self.holder != previous:
            self._log.info("somebody else leads", holder=self.holder)

    def _believed_for(self) -> float:
        """Return the seconds for which the holder in the record is believed after a change of the record."""
        asked = self._spec.lease_duration_seconds
        return (
            min(asked, LONGEST_DURATION_SECONDS) if asked and asked > 0 else self._timing.duration
        )

    @property
    def _free_in(self) -> float:
        """Seconds until the holder in the record need not be believed any more."""
        return max(0.0, self._free_at - self._now())

    @property
    def _left(self) -> float:
        """Seconds for which the Lease is ours for certain."""
        return max(0.0, self._held_until - self._now())

    @property
    def _timeout(self) -> float:
        """Seconds for one request: when one hangs, there is time for another."""
        return self._timing.renew_deadline / 2

    def _pause(self) -> float:
        return self._timing.retry_period * (1 + JITTER * self._rng.random())

    def _note(self, error: ApiError) -> None:
        """Say what is wrong once, and again only when it changes."""
        if self.problem is None or (type(self.problem), self.problem.message) != (
            type(error),
            error.message,
        ):
            self._log.warning("the Lease cannot be read or written", error=str(error))
        self.problem = error
