"""Ask the API server what a subject may do, and whether a service account exists.

The webhook and the reconciler use `AccessReviews` and `ServiceAccounts`. A bounded
number of requests is in flight at once, and each answer is cached for some seconds.
This module must not decide what a missing right means.
"""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec

from kube.client import SERVICE_ACCOUNTS, SUBJECT_ACCESS_REVIEWS, Client, all_of
from kube.errors import NotFound
from kube.rbac import Rule
from kube.wire import decode_partial, decoding

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

# The API server waits at most 10 s for a webhook, and a denial must be sent before that.
ANSWER_SECONDS = 3.0
CACHE_LIMIT = 10_000  # answers

# Reviews of one check that are in flight at once.
MAX_IN_FLIGHT = 8

# A check ends at this refusal. The subject is refused anyway, so the other rights do not matter.
MAX_REFUSALS = 8


class AnySubject(Protocol):
    """A user or service account; hashable."""

    @property
    def username(self) -> str:
        """Return the name, such as `alice` or `system:serviceaccount:<namespace>:<name>`."""

    @property
    def uid(self) -> str:
        """Return the UID; empty without one."""

    @property
    def groups(self) -> tuple[str, ...]:
        """Return all groups, including `system:authenticated`."""

    @property
    def extra(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the extra fields of the authenticator, by key."""


class AnyRight(Protocol):
    """One verb on one object, in one namespace or in all; hashable."""

    @property
    def verb(self) -> str:
        """Return the verb, such as `get`."""

    @property
    def namespace(self) -> str:
        """Return the namespace; empty for every namespace."""

    @property
    def name(self) -> str:
        """Return the name of the object; empty for every name."""

    @property
    def group(self) -> str:
        """Return the API group; empty for the core group."""

    @property
    def resource(self) -> str:
        """Return the plural of the resource."""

    @property
    def subresource(self) -> str:
        """Return the subresource, such as `token`; empty for the object itself."""

    @property
    def broad(self) -> Self:
        """Return the same verb on every object of the cluster, which includes this right."""


RightT = TypeVar("RightT", bound=AnyRight)


class _Answer(NamedTuple):
    """A cached answer, and the time on the event loop's clock at which it expires."""

    allowed: bool
    until: float


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
        self._cache: dict[bytes, _Answer] = {}

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
        slots = slots or asyncio.Semaphore(MAX_IN_FLIGHT)
        rights = list(dict.fromkeys(rights))
        answers = await all_of(self._ask(subject, right, slots) for right in rights)
        return {right for right, yes in zip(rights, answers, strict=True) if yes}

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
        slots = slots or asyncio.Semaphore(MAX_IN_FLIGHT)
        wanted = dict.fromkeys(rights)
        broad = list(dict.fromkeys(right.broad for right in wanted))
        answers = await all_of(
            self._ask(subject, right, slots, use_cached_refusal=right not in wanted)
            for right in broad
        )
        everywhere = dict(zip(broad, answers, strict=True))
        rest = [
            right for right in wanted if right not in everywhere and not everywhere[right.broad]
        ]
        asked = everywhere | await self._until_refused(subject, rest, slots)
        held = [right for right in wanted if everywhere[right.broad] or asked.get(right)]
        refused = [right for right in wanted if asked.get(right) is False]
        return Answers(held, refused, len(held) + len(refused) == len(wanted))

    async def _until_refused(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore
    ) -> dict[RightT, bool]:
        """Check rights in order, several at once, until enough are refused or a review fails."""
        waiting = iter(rights)
        answers: dict[RightT, bool] = {}
        refusals, failed = 0, False

        async def ask_in_turn() -> None:
            nonlocal refusals, failed
            for right in waiting:
                try:
                    answers[right] = yes = await self._ask(subject, right, slots)
                except BaseException:
                    failed = True
                    raise
                refusals += not yes
                if failed or refusals >= MAX_REFUSALS:
                    return

        await all_of(ask_in_turn() for _ in range(MAX_IN_FLIGHT))
        return answers

    async def _ask(
        self,
        subject: AnySubject,
        right: RightT,
        slots: asyncio.Semaphore,
        *,
        use_cached_refusal: bool = False,
    ) -> bool:
        """Return whether `subject` has `right`.

        A cached refusal is used only if `use_cached_refusal` says that it denies no request.
        """
        body = msgspec.json.encode(_review(subject, right))
        key = hashlib.sha256(body).digest()  # a subject may be large
        cached = self._cache.get(key)
        if cached and cached.until > self._now() and (cached.allowed or use_cached_refusal):
            return cached.allowed
        async with slots:
            answer = await self._client.create(
                SUBJECT_ACCESS_REVIEWS,
                "",
                msgspec.Raw(body),
                timeout_seconds=ANSWER_SECONDS,
            )
        yes = _is_allowed(answer)
        self._on_answer(yes)
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        self._cache[key] = _Answer(yes, self._now() + self._cache_seconds)
        return yes


class ServiceAccounts:
    """Reads whether service accounts exist, because a review does not say so."""

    def __init__(self, client: Client, now: Callable[[], float], cache_seconds: float) -> None:
        """Create it with an empty cache.

        Args:
            client: of the API server.
            now: the event loop's clock.
            cache_seconds: for which an account counts as existing; a missing one is not cached.
        """
        self._client = client
        self._now = now
        self._cache_seconds = cache_seconds
        self._exists_until: dict[tuple[str, str], float] = {}

    async def exists(self, namespace: str, name: str) -> bool:
        """Return whether the account exists and is not being deleted; then its tokens are valid.

        Raises:
            ApiError: the API server did not answer.
        """
        if self._exists_until.get((namespace, name), 0.0) > self._now():
            return True
        try:
            answer = await self._client.get(
                SERVICE_ACCOUNTS,
                namespace,
                name,
                metadata_only=True,
                timeout_seconds=ANSWER_SECONDS,
            )
        except NotFound:
            return False
        with decoding("the ServiceAccount"):
            metadata = decode_partial(answer).metadata
        if metadata.deletion_timestamp is not None:
            return False
        if len(self._exists_until) >= CACHE_LIMIT:
            self._exists_until.clear()
        self._exists_until[namespace, name] = self._now() + self._cache_seconds
        return True


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


_decoder = msgspec.json.Decoder(_AccessReview)


def _is_allowed(answer: bytes) -> bool:
    with decoding("the SubjectAccessReview"):
        return _decoder.decode(answer).status.allowed


def _review(subject: AnySubject, right: AnyRight) -> Mapping[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": subject.username,
            "uid": subject.uid,
            "groups": subject.groups,
            "extra": dict(subject.extra),
            "resourceAttributes": {
                "verb": right.verb,
                "group": right.group,
                "version": "v1",
                "resource": right.resource,
                "subresource": right.subresource,
                "namespace": right.namespace,
                "name": right.name,
            },
        },
    }
