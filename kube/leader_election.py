"""Elect a leader: of several processes only the holder of a Lease works.

`reconciler/__main__.py` makes an `Elector`, and `reconciler/app.py` works inside its
`leadership`. This module must not write anything but the record (`lease_record.py`).
docs/decisions/06-lease-and-fence.md gives the reasons for the rules of `Elector`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NoReturn

import structlog

from kube.errors import ApiError, Fenced, NotFound, Retry
from kube.lease_record import LeaseRecord, LeaseSpec, Sighting

# The longest lease duration that is configured or respected. A record with a duration of years
# would otherwise keep the Lease for years.
MAX_DURATION_SECONDS = 600
JITTER = 0.2  # of the retry period, so that processes that start together do not retry together
WATCH_SECONDS = (290, 590)  # range of the timeout that the API server is asked for
NEVER = float("-inf")


class LeaseLostError(Exception):
    """This process no longer holds the Lease for certain, and must stop at once."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of an election.

    Attributes:
        duration: whole seconds without a renewal after which another process takes the Lease.
        renew_deadline: seconds without a renewal after which the holder stops.
        retry_period: seconds from one renewal of the holder to the next. Jitter makes it up to a
            fifth longer. A candidate tries to take the Lease twice in that time.
    """

    duration: int = 15
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        """Check that two processes cannot hold the Lease at once.

        Raises:
            ValueError: the durations do not fit together.
        """
        if self.retry_period <= 0:
            raise ValueError("the retry period must be more than 0 seconds")
        if self.renew_deadline <= self.retry_period * (1 + JITTER):
            raise ValueError(
                "the renew deadline must be more than "
                f"the retry period and its jitter, {JITTER:.0%}"
            )
        if self.duration <= self.renew_deadline:
            raise ValueError("the lease duration must be more than the renew deadline")
        if self.duration > MAX_DURATION_SECONDS:
            raise ValueError(f"the lease duration must be at most {MAX_DURATION_SECONDS} seconds")


class Elector:
    """A candidate for a Lease.

    Its `problem` is the error that keeps it from reading or writing the Lease now, else None.

    Four rules keep two processes from working at the same time, also if a process pauses, a request
    fails or a clock is wrong:

    - A candidate waits until the record has not changed for the lease duration, by its own
      monotonic clock. No process compares the times in the record, so wall clocks do not matter.
    - Every write of the record carries the version that it was decided on. A late write gets a
      Conflict.
    - The holder counts from the moment before its last renewal was sent, and only up to the renew
      deadline, which is shorter than the lease duration. It stops before another candidate begins.
    - Before each other write `connection.py` calls a fence (`check`). So a leader that was
      suspended and wakes up late sends no write.

    A write that was partly sent when the process was suspended can still arrive after another
    process took over. So each such write also needs a precondition.
    """

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
        """Create a candidate; nothing is sent before `leadership`.

        Args:
            record: the Lease, over a connection of its own, so that no other request and no fence
                delays a renewal.
            identity: of this process; no other process may ever have the same.
            timing: durations of the election.
            now: seconds on a monotonic clock that also runs while the process is suspended. The
                event loop's clock may be cached, so it does not fit.
            clock: the time of day, for the record.
            rng: for jitter.
        """
        self._record = record
        self._identity = identity
        self._timing = timing
        self._timeout = timing.renew_deadline / 2  # of a request, so that there is time for two
        self._now = now
        self._clock = clock
        self._rng = rng
        self._spec = LeaseSpec()  # the last one that was seen, also after a deletion
        self._version: str | None = None  # None if the record does not exist
        self._free_at = NEVER  # when the Lease of another holder ends
        self._held_until = NEVER
        self._log = structlog.get_logger("lease").bind(lease=record.path, identity=identity)
        self.problem: ApiError | None = None

    @property
    def leading(self) -> bool:
        """Return whether this process holds the Lease for certain."""
        return self._now() < self._held_until

    @property
    def holder(self) -> str:
        """Return the holder that was last seen; empty if there is none."""
        return self._spec.holder_identity or ""

    def check(self) -> None:
        """Raise an error unless this process leads; the connection calls it before each write.

        Raises:
            Fenced: this process does not hold the Lease for certain.
        """
        if not self.leading:
            raise Fenced("not sent: this process does not hold the leader lease")

    @asynccontextmanager
    async def leadership(self) -> AsyncIterator[None]:
        """Acquire the Lease, renew it during the block, and release it when the block ends.

        After a block that failed or was cancelled, the API server may still carry out writes. So
        the Lease is not released then; it expires.

        Raises:
            LeaseLostError: in a group, after the block was cancelled.
        """
        await self._acquire()
        self._log.info("acquired leader lease", transitions=self._spec.lease_transitions)
        try:
            async with asyncio.TaskGroup() as group:
                renewing = group.create_task(self._renew_until_lost())
                yield
                renewing.cancel()
        finally:
            self._held_until = NEVER  # no write may follow the block
        await self._release()

    async def _acquire(self) -> None:
        """Try to take the Lease, and watch the record in between, until this process holds it."""
        while not self.leading:
            try:
                self._observe(await self._record.read(self._timeout))
                if self._free_in == 0:
                    await self._claim()
                elif self._version is not None:
                    await self._follow(self._version)
                self.problem = None
                # A release between two watches is noticed soon as well.
                pause = min(self._pause() / 2, self._free_in)
            except ApiError as error:
                pause = self._pause() / 2  # another candidate was faster
                if error.retry is not Retry.SOON:
                    pause = self._failed(error, self._timing.duration)
            await asyncio.sleep(pause)

    async def _renew_until_lost(self) -> NoReturn:
        """Renew the Lease in each retry period.

        Raises:
            LeaseLostError: another process holds it, or it was not renewed in time.
        """
        pause = self._pause()
        while True:
            await asyncio.sleep(min(pause, self._left))
            if not self.leading:
                cause = self.problem or "the process was suspended"
                raise self._lost(f"not renewed for {self._timing.renew_deadline:g} s: {cause}")
            try:
                async with asyncio.timeout(self._left):
                    await self._as_holder(self._claim)
                pause = self._pause()
            except TimeoutError:
                pause = 0.0
            except ApiError as error:
                # A longer pause could lose the Lease.
                pause = self._failed(error, self._left / 2)

    async def _release(self) -> None:
        """Remove the holder from the record, so that the next candidate need not wait."""
        try:
            await self._as_holder(lambda: self._write(self._spec.released(self._clock())))
        except (ApiError, LeaseLostError) as error:
            self._log.warning("cannot release leader lease, it will expire", error=str(error))
        else:
            self._log.info("released leader lease")

    async def _follow(self, version: str) -> None:
        """Watch the record until it is released or deleted, or has not changed for too long."""
        loop = asyncio.get_running_loop()
        sightings = self._record.follow(version, self._rng.randint(*WATCH_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._free_in) as patience, aclosing(sightings):
                async for sighting in sightings:
                    self._observe(sighting)
                    if sighting is None or self._free_in == 0:
                        return
                    patience.reschedule(loop.time() + self._free_in)

    async def _claim(self) -> None:
        """Write this process into the record as its holder, on top of the version that was seen."""
        asked = self._now()
        spec = self._spec.claimed_by(self._identity, self._timing.duration, self._clock())
        await self._write(spec)
        self._held_until = asked + self._timing.renew_deadline
        self.problem = None

    async def _as_holder(self, write: Callable[[], Awaitable[None]]) -> None:
        """Write; if the record has changed and this process still holds it, write once more.

        Another client edited or deleted the record, or the answer to an earlier write was lost.
        """
        try:
            await write()
        except ApiError as error:
            if error.retry is not Retry.SOON and not isinstance(error, NotFound):
                raise
            self._observe(await self._record.read(self._timeout))
            if self._version is not None and self.holder != self._identity:
                raise self._lost(f"{self.holder or 'no process'} holds it now") from None
            await write()

    async def _write(self, spec: LeaseSpec) -> None:
        self._observe(await self._record.write(spec, self._version, self._timeout))

    def _lost(self, why: str) -> LeaseLostError:
        self._held_until = NEVER
        self._log.error("lost leader lease", reason=why)
        return LeaseLostError(why)

    def _observe(self, sighting: Sighting | None) -> None:
        """Remember the record; any change of it starts the lease duration again."""
        if sighting is None:
            self._version = None
            return
        if sighting.version == self._version:
            return
        previous = self.holder
        self._version, self._spec = sighting
        others = self.holder not in {"", self._identity}
        asked = self._spec.lease_duration_seconds or 0
        duration = min(asked, MAX_DURATION_SECONDS) if asked > 0 else self._timing.duration
        self._free_at = self._now() + (duration if others else 0)
        if others and self.holder != previous:
            self._log.info("another process leads", holder=self.holder)

    @property
    def _free_in(self) -> float:
        """Return the seconds until the Lease of another holder ends."""
        return max(0.0, self._free_at - self._now())

    @property
    def _left(self) -> float:
        """Return the seconds for which this process certainly holds the Lease."""
        return max(0.0, self._held_until - self._now())

    def _pause(self) -> float:
        return self._timing.retry_period * (1 + JITTER * self._rng.random())

    def _failed(self, error: ApiError, longest: float) -> float:
        """Log an error unless it repeats; return the pause: its Retry-After, up to `longest`."""
        if not error.repeats(self.problem):
            self._log.warning("cannot read or write the leader lease", error=str(error))
        self.problem = error
        return max(self._pause(), min(error.retry_after or 0.0, longest))
