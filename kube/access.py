"""Ask the API server what a subject may do, and whether a service account exists.

The webhook, the reconciler and the plugin use `AccessReviews`. Each check has a bounded
number of reviews in flight, and each answer is cached for some seconds. This module
must not decide what a missing right means.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec

from kube.client import SERVICE_ACCOUNTS, SUBJECT_ACCESS_REVIEWS, Client, all_of
from kube.errors import NotFound
from kube.rbac import Rule
from kube.wire import PartialObject, decode_as

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


class AnySubject(Protocol):
    """A user or service account."""

    @property
    def review_fields(self) -> Mapping[str, Any]:
        """Return the fields of a review that name the subject: user, uid, groups and extra."""


class AnyRight(Protocol):
    """One verb on one object, in one namespace or in all; a hashable dataclass.

    Its fields are those of `resourceAttributes` in a review, apart from the version: verb, group,
    resource, subresource, namespace and name.
    """

    @property
    def broad(self) -> Self:
        """Return the same verb on every object of the cluster, which includes this right."""


RightT = TypeVar("RightT", bound=AnyRight)


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


class _Asked(NamedTuple):
    """The subject of one check.

    Attributes:
        user: the fields of a review that name the subject.
        digest: of these fields, for the key of a cached answer; a subject may be large.
        slots: bounds the reviews in flight.
    """

    user: Mapping[str, Any]
    digest: bytes
    slots: asyncio.Semaphore


class Answers(NamedTuple, Generic[RightT]):
    """The result of a check.

    Attributes:
        refused: the rights that the subject does not have.
        complete: whether every right was checked; False if the check ended at `MAX_REFUSALS`.
    """

    refused: Collection[RightT]
    complete: bool


class AccessReviews(Generic[RightT]):
    """Sends SubjectAccessReviews, reads service accounts, and caches the answers."""

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
            on_answer: called with the answer to every review.
            cache_seconds: for which an answer is used. A revoked right works this much longer. A
                granted right works at once, because a cached refusal never denies a request.
        """
        self._client = client
        self._now = now
        self._on_answer = on_answer
        self._cache_seconds = cache_seconds
        # Each answer with the time at which it expires.
        self._cache: dict[Hashable, tuple[bool, float]] = {}

    async def may(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore | None = None
    ) -> set[RightT]:
        """Return those of `rights` that `subject` has.

        Args:
            subject: the user or service account.
            rights: each costs one review, so the caller must bound their number.
            slots: a bound on reviews in flight that several checks share; None for an own one.

        Raises:
            ApiError: a request failed.
        """
        wanted = list(rights)
        if not wanted:
            return set()
        answers = await self._answers(_asked(subject, slots), wanted, deciding=wanted)
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
            slots: a bound on reviews in flight that several checks share; None for an own one.

        Raises:
            ApiError: a request failed.
        """
        asked = _asked(subject, slots)
        broad = {right: right.broad for right in rights}
        everywhere = await self._answers(asked, broad.values(), deciding=broad)
        rest = [
            right
            for right, wide in broad.items()
            if right not in everywhere and not everywhere[wide]
        ]
        answers = everywhere | await self._until_refused(asked, rest)
        refused = [right for right in broad if answers.get(right) is False]
        complete = all(right in answers or everywhere[wide] for right, wide in broad.items())
        return Answers(refused, complete)

    async def account_exists(self, namespace: str, name: str) -> bool:
        """Return whether a service account exists and is not being deleted.

        Then its tokens are valid; a review does not say so. That an account is missing is not
        cached.

        Raises:
            ApiError: a request failed.
        """
        key = (namespace, name)
        if self._cached(key):
            return True
        try:
            answer = await self._client.get(
                SERVICE_ACCOUNTS, *key, metadata_only=True, timeout_seconds=ANSWER_SECONDS
            )
        except NotFound:
            return False
        account = decode_as(answer, PartialObject, "the ServiceAccount")
        exists = account.metadata.deletion_timestamp is None
        if exists:
            self._keep(key, answer=True)
        return exists

    async def _answers(
        self, asked: _Asked, rights: Iterable[RightT], *, deciding: Collection[RightT]
    ) -> dict[RightT, bool]:
        """Return the answer for each right, and ask only for those that are not cached.

        Args:
            asked: the subject.
            rights: the rights to check.
            deciding: those whose refusal denies the request, for which no cached refusal counts.
        """
        answers: dict[RightT, bool] = {}
        unknown: list[RightT] = []
        for right in dict.fromkeys(rights):
            cached = self._cached((asked.digest, right))
            if cached is None or (not cached and right in deciding):
                unknown.append(right)
            else:
                answers[right] = cached
        new = await all_of(self._ask(asked, right) for right in unknown)
        return answers | dict(zip(unknown, new, strict=True))

    async def _until_refused(self, asked: _Asked, rights: Collection[RightT]) -> dict[RightT, bool]:
        """Check rights in order, several at once, until enough are refused or a review fails."""
        waiting = deque(rights)
        answers: dict[RightT, bool] = {}
        refusals = 0

        async def ask_in_turn() -> None:
            nonlocal refusals
            while waiting:
                right = waiting.popleft()
                key = (asked.digest, right)
                try:
                    answers[right] = self._cached(key) or await self._ask(asked, right)
                except BaseException:
                    waiting.clear()
                    raise
                refusals += not answers[right]
                if refusals >= MAX_REFUSALS:
                    waiting.clear()

        await all_of(ask_in_turn() for _ in range(min(len(rights), MAX_IN_FLIGHT)))
        return answers

    def _cached(self, key: Hashable) -> bool | None:
        """Return the cached answer; None if there is none or it has expired."""
        answer, until = self._cache.get(key, (None, 0.0))
        return answer if until > self._now() else None

    def _keep(self, key: Hashable, *, answer: bool) -> None:
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[key] = (answer, self._now() + self._cache_seconds)

    async def _ask(self, asked: _Asked, right: RightT) -> bool:
        """Ask the API server whether the subject has `right`, and cache the answer."""
        attributes = msgspec.to_builtins(right) | {"version": "v1"}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {**asked.user, "resourceAttributes": attributes},
        }
        async with asked.slots:
            answer = await self._client.create(
                SUBJECT_ACCESS_REVIEWS, "", review, timeout_seconds=ANSWER_SECONDS
            )
        yes = decode_as(answer, _Review, "the SubjectAccessReview").status.allowed
        self._on_answer(yes)
        self._keep((asked.digest, right), answer=yes)
        return yes


def _asked(subject: AnySubject, slots: asyncio.Semaphore | None) -> _Asked:
    user = subject.review_fields
    digest = hashlib.sha256(msgspec.json.encode(user)).digest()
    return _Asked(user, digest, slots or asyncio.Semaphore(MAX_IN_FLIGHT))
