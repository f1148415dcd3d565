"""Bound the reviews in progress and their bytes, in total and for each user.

`admission.py` takes a slot for each review that it validates. A user whose slow reviews
fill all slots of that user leaves the slots of other users free.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from kube.access import MAX_IN_FLIGHT

SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"


class TooManyReviewsError(Exception):
    """Too many reviews or bytes wait, or no slot became free in time; a message for the user."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on reviews.

    Attributes:
        running: reviews that are validated at once.
        running_per_user: of these, reviews of one user.
        waiting: reviews that wait for a slot.
        waiting_per_user: of these, reviews of one user.
        bytes: of all specs that are validated or wait.
        bytes_per_user: of these, specs of one user.
        wait_seconds: the longest wait for a slot; the API server waits 5 s for the answer.
    """

    running: int = 64
    running_per_user: int = 4
    waiting: int = 512
    waiting_per_user: int = 64
    bytes: int = 48 * 1024 * 1024
    bytes_per_user: int = 6 * 1024 * 1024
    wait_seconds: float = 2.0


@dataclass(slots=True)
class _User:
    running: int = 0
    bytes: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    questions: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_IN_FLIGHT))


class ReviewSlots:
    """Grants slots: at once if one is free, otherwise in turn among the waiting users."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._running = 0
        self._bytes = 0
        # Of the users with waiting reviews, the first is next.
        self._users: OrderedDict[str, _User] = OrderedDict()

    @asynccontextmanager
    async def slot(self, username: str, size: int = 0) -> AsyncIterator[asyncio.Semaphore]:
        """Hold a slot for one review.

        Args:
            username: as the API server authenticated the user.
            size: bytes of the specs of the review.

        Yields:
            The bound on the access reviews that are sent for this user at once.

        Raises:
            TooManyReviewsError: too many reviews or bytes wait already, or no slot became free in
                time.
        """
        name = share_of(username)
        user = self._users.setdefault(name, _User())
        user.bytes += size
        self._bytes += size
        try:
            if user.bytes > self._limits.bytes_per_user or self._bytes > self._limits.bytes:
                raise TooManyReviewsError(_message(user.running))
            await self._take(name, user)
            try:
                yield user.questions
            finally:
                self._end(user)
        finally:
            user.bytes -= size
            self._bytes -= size
            if not user.running and not user.waiting:
                self._users.pop(name, None)

    async def _take(self, name: str, user: _User) -> None:
        if self._free_for(user) and not user.waiting:
            self._start(user)
            return
        waiting = sum(len(each.waiting) for each in self._users.values())
        if waiting >= self._limits.waiting or len(user.waiting) >= self._limits.waiting_per_user:
            raise TooManyReviewsError(_message(user.running))
        if not user.waiting:
            self._users.move_to_end(name)
        turn = asyncio.get_running_loop().create_future()
        user.waiting.append(turn)
        try:
            async with asyncio.timeout(self._limits.wait_seconds):
                await turn
        except (TimeoutError, asyncio.CancelledError) as error:
            if turn in user.waiting:
                user.waiting.remove(turn)
            elif not turn.cancelled():  # granted at the same moment
                self._end(user)
            if isinstance(error, TimeoutError):
                raise TooManyReviewsError(_message(user.running)) from error
            raise

    def _grant(self) -> None:
        """Grant free slots to waiting users, one each in turn."""
        for name, user in list(self._users.items()):
            while self._free_for(user) and user.waiting:
                turn = user.waiting.popleft()
                self._users.move_to_end(name)
                if not turn.done():
                    self._start(user)
                    turn.set_result(None)
                    break

    def _start(self, user: _User) -> None:
        self._running += 1
        user.running += 1

    def _end(self, user: _User) -> None:
        self._running -= 1
        user.running -= 1
        self._grant()

    def _free_for(self, user: _User) -> bool:
        return self._running < self._limits.running and user.running < self._limits.running_per_user


def share_of(username: str) -> str:
    """Return the name that the reviews of a user are counted under.

    The service accounts of one namespace count as one user, because a user that may create one
    may create a hundred.
    """
    is_account = username.startswith(SERVICE_ACCOUNT_PREFIX)
    return username.rpartition(":")[0] if is_account else username


def _message(running: int) -> str:
    return (
        f"too many ConfigMapSyncs are being checked at once, {running} of them for this user; "
        "try again in a second"
    )
