"""Ask the API server what a subject may do.

The webhook and the reconciler use `AccessReviews`. A bounded number of requests is in
flight at once, and each answer is cached for some seconds. This module must not decide
what a missing right means; `service_accounts.py` reads whether an account exists.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from kube.access_review import AnyRight, AnySubject, is_allowed, review_of, user_fields
from kube.client import SUBJECT_ACCESS_REVIEWS, Client, all_of
from kube.rbac import Rule

RULES = (
    Rule(
        "subjectaccessreviews",
        ("create",),
        group="authorization.k8s.io",
        why="check the rights of a user or a service account",
    ),
    Rule(
        "serviceaccounts",
        ("get",),
        why="a deleted account has no rights, but a review would not say so",
    ),
)

# The API server waits 5 s for the webhook (`config/webhook/`), and a denial must come before that.
ANSWER_SECONDS = 3.0
CACHE_LIMIT = 10_000  # answers

# Reviews of one check that are in flight at once.
MAX_IN_FLIGHT = 8

# A check ends at this refusal. The subject is refused anyway, so the other rights do not matter.
MAX_REFUSALS = 8


RightT = TypeVar("RightT", bound=AnyRight)


class _Answer(NamedTuple):
    """A cached answer, and the time on the event loop's clock at which it expires."""

    allowed: bool
    until: float


class _Asked:
    """The subject of one check.

    Attributes:
        subject: the user or service account.
        slots: bounds the reviews in flight.
        digest: of the subject, for the key of a cached answer; a subject may be large.
    """

    __slots__ = ("digest", "slots", "subject")

    def __init__(self, subject: AnySubject, slots: asyncio.Semaphore) -> None:
        self.subject = subject
        self.slots = slots
        self.digest = hashlib.sha256(msgspec.json.encode(user_fields(subject))).digest()


class Answers(NamedTuple, Generic[RightT]):
    """The result of a check.

    Attributes:
        held: the rights that the subject has.
        refused: the rights that it does not have.
        complete: whether every right was checked; False if the check ended at `MAX_REFUSALS`.
    """

    held: Collection[RightT]
    refused: Collection[RightT]
    complete: bool


class AccessReviews(Generic[RightT]):
    """Sends SubjectAccessReviews and caches the answers."""

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        on_answer: Callable[[bool], None],
        cache_seconds: float,
    ) -> None:
        """Create it with an empty cache.

        Args:
            client: of the API server.
            now: the event loop's clock.
            on_answer: called with every answer of the API server.
            cache_seconds: for which an answer is used. A revoked right works this much longer. A
                granted right works at once, because a cached refusal never denies a request.
        """
        self._client = client
        self._now = now
        self._on_answer = on_answer
        self._cache_seconds = cache_seconds
        self._cache: dict[tuple[bytes, RightT], _Answer] = {}

    async def may(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore | None = None
    ) -> set[RightT]:
        """Return those of `rights` that `subject` has.

        Args:
            subject: the user or service account.
            rights: each costs one review, so the caller must bound their number.
            slots: bounds the reviews in flight, if several checks share a bound.

        Raises:
            ApiError: the API server did not answer.
        """
        wanted = list(rights)
        if not wanted:
            return set()
        asked = _Asked(subject, slots or asyncio.Semaphore(MAX_IN_FLIGHT))
        answers = await self._answers(asked, wanted)
        return {right for right, yes in answers.items() if yes}

    async def check(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore | None = None
    ) -> Answers[RightT]:
        """Check rights until `MAX_REFUSALS` of them are refused.

        Each verb is first checked for the whole cluster. So an administrator costs few reviews,
        however many namespaces there are, and so does a subject without any right.

        Args:
            subject: the user or service account.
            rights: in the order in which they are checked.
            slots: bounds the reviews in flight, if several checks share a bound.

        Raises:
            ApiError: the API server did not answer.
        """
        asked = _Asked(subject, slots or asyncio.Semaphore(MAX_IN_FLIGHT))
        broad = {right: right.broad for right in rights}
        everywhere = await self._answers(asked, broad.values(), deciding=broad)
        rest = [
            right
            for right, wide in broad.items()
            if right not in everywhere and not everywhere[wide]
        ]
        answers = everywhere | await self._until_refused(asked, rest)
        held = [right for right, wide in broad.items() if everywhere[wide] or answers.get(right)]
        refused = [right for right in broad if answers.get(right) is False]
        return Answers(held, refused, len(held) + len(refused) == len(broad))

    async def _answers(
        self,
        asked: _Asked,
        rights: Iterable[RightT],
        *,
        deciding: Collection[RightT] | None = None,
    ) -> dict[RightT, bool]:
        """Return the answer for each right, and ask only for those that are not cached.

        Args:
            asked: the subject.
            rights: in the order of the answers.
            deciding: the rights whose refusal denies the request; all by default.
        """
        answers = dict.fromkeys(rights, False)
        unknown: list[RightT] = []
        for right in answers:
            cached = self._cached(asked, right)
            if cached is None or (not cached and (deciding is None or right in deciding)):
                unknown.append(right)
            else:
                answers[right] = cached
        if unknown:
            new = await all_of(self._ask(asked, right) for right in unknown)
            answers.update(zip(unknown, new, strict=True))
        return answers

    async def _until_refused(self, asked: _Asked, rights: Collection[RightT]) -> dict[RightT, bool]:
        """Check rights in order, several at once, until enough are refused or a review fails."""
        waiting = iter(rights)
        answers: dict[RightT, bool] = {}
        refusals, failed = 0, False

        async def ask_in_turn() -> None:
            nonlocal refusals, failed
            for right in waiting:
                try:
                    yes = self._cached(asked, right) or await self._ask(asked, right)
                    answers[right] = yes
                except BaseException:
                    failed = True
                    raise
                refusals += not yes
                if failed or refusals >= MAX_REFUSALS:
                    return

        await all_of(ask_in_turn() for _ in range(min(len(rights), MAX_IN_FLIGHT)))
        return answers

    def _cached(self, asked: _Asked, right: RightT) -> bool | None:
        """Return the cached answer; None if there is none or it has expired."""
        cached = self._cache.get((asked.digest, right))
        return cached.allowed if cached and cached.until > self._now() else None

    async def _ask(self, asked: _Asked, right: RightT) -> bool:
        """Ask the API server whether the subject has `right`, and cache the answer."""
        async with asked.slots:
            answer = await self._client.create(
                SUBJECT_ACCESS_REVIEWS,
                "",
                review_of(asked.subject, right),
                timeout_seconds=ANSWER_SECONDS,
            )
        yes = is_allowed(answer)
        self._on_answer(yes)
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[asked.digest, right] = _Answer(yes, self._now() + self._cache_seconds)
        return yes
