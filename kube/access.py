"""Ask what a subject may do, by SubjectAccessReviews: a bounded number at once, each answer remembered for some seconds."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec

from kube.client import SUBJECT_ACCESS_REVIEWS, Client, all_of
from kube.rbac import Rule
from kube.wire import decoding

RULES = (
    Rule(
        "subjectaccessreviews",
        ("create",),
        group="authorization.k8s.io",
        why="may somebody do what is asked for?",
    ),
)

# An API server gives a webhook 10 s at most; what has not been answered by then is answered with a refusal in time.
ANSWERED_WITHIN_SECONDS = 3.0
REMEMBERED_AT_MOST = 10_000

# Questions of one check that are under way at once.
ASKED_AT_ONCE = 8

# A check ends at this refusal. What else is missing is not worth asking: the subject is refused anyway.
ENOUGH_REFUSALS = 8


class AnySubject(Protocol):
    """Whose rights count; hashable."""

    @property
    def username(self) -> str:
        """Such as `alice` or `system:serviceaccount:<namespace>:<name>`."""

    @property
    def uid(self) -> str:
        """Empty where there is none."""

    @property
    def groups(self) -> tuple[str, ...]:
        """All of them, `system:authenticated` included."""

    @property
    def extra(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What the authenticator added, by key."""


class AnyRight(Protocol):
    """One verb on one object, in one namespace or everywhere; hashable."""

    @property
    def verb(self) -> str:
        """Such as `get`."""

    @property
    def namespace(self) -> str:
        """Empty: in every namespace."""

    @property
    def name(self) -> str:
        """Empty: of any name."""

    @property
    def group(self) -> str:
        """The API group; empty for the core."""

    @property
    def resource(self) -> str:
        """In the plural."""

    @property
    def subresource(self) -> str:
        """Such as `token`; empty for the object itself."""

    @property
    def broad(self) -> Self:
        """The same verb on every object of the cluster: who has it has each of them."""


RightT = TypeVar("RightT", bound=AnyRight)


class Memory(NamedTuple):
    """An answer, and the moment on the event loop's clock until which it is believed."""

    allowed: bool
    until: float


class Answers(NamedTuple, Generic[RightT]):
    """What a check found out.

    Attributes:
        held: the rights that the subject has.
        refused: the rights that it does not have.
        complete: whether every right was asked for; False where the check ended at the last refusal that counts.
    """

    held: Collection[RightT]
    refused: Collection[RightT]
    complete: bool


class AccessReviews(Generic[RightT]):
    """Asks the API server, each question once within some seconds.

    Args:
        client: of the API server.
        now: the event loop's clock.
        on_answer: called with every answer of the API server.
        remembered_for: seconds; a right that was taken away works this much longer. A right that was given works at once: a
            remembered "no" refuses no request.
    """

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        on_answer: Callable[[bool], None],
        remembered_for: float,
    ) -> None:
        self._client = client
        self._now = now
        self._on_answer = on_answer
        self._remembered_for = remembered_for
        self._remembered: dict[bytes, Memory] = {}

    async def may(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore | None = None
    ) -> set[RightT]:
        """Return those of `rights` that `subject` has.

        Args:
            subject: whose rights count.
            rights: all of them are asked for, so their number must be bounded.
            slots: bounds the questions under way, where several checks share a bound.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        slots = slots or asyncio.Semaphore(ASKED_AT_ONCE)
        rights = list(dict.fromkeys(rights))
        answers = await all_of(self._ask(subject, right, slots) for right in rights)
        return {right for right, yes in zip(rights, answers, strict=True) if yes}

    async def check(
        self, subject: AnySubject, rights: Iterable[RightT], slots: asyncio.Semaphore | None = None
    ) -> Answers[RightT]:
        """Ask for each right in every namespace first, then for the rest one by one, until enough are refused.

        An administrator costs few questions, however many namespaces there are, and so does a subject without any right.

        Args:
            subject: whose rights count.
            rights: in the order in which they are asked for.
            slots: bounds the questions under way, where several checks share a bound.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        slots = slots or asyncio.Semaphore(ASKED_AT_ONCE)
        wanted = dict.fromkeys(rights)
        broad = list(dict.fromkeys(right.broad for right in wanted))
        answers = await all_of(
            self._ask(subject, right, slots, believe_no=right not in wanted) for right in broad
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
        """Ask in order, several at once; stop taking more after enough refusals, or after a failure."""
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
                if failed or refusals >= ENOUGH_REFUSALS:
                    return

        await all_of(ask_in_turn() for _ in range(ASKED_AT_ONCE))
        return answers

    async def _ask(
        self,
        subject: AnySubject,
        right: RightT,
        slots: asyncio.Semaphore,
        *,
        believe_no: bool = False,
    ) -> bool:
        """Return whether `subject` has `right`; a remembered "no" is believed only where it refuses no request."""
        body = msgspec.json.encode(_question(subject, right))
        key = hashlib.sha256(body).digest()  # a subject may be large: only its digest is kept
        memory = self._remembered.get(key)
        if memory and memory.until > self._now() and (memory.allowed or believe_no):
            return memory.allowed
        async with slots:
            answer = await self._client.create(
                SUBJECT_ACCESS_REVIEWS,
                "",
                msgspec.Raw(body),
                timeout_seconds=ANSWERED_WITHIN_SECONDS,
            )
        yes = _is_allowed(answer)
        self._on_answer(yes)
        self._remember(key, allowed=yes)
        return yes

    def _remember(self, key: bytes, *, allowed: bool) -> None:
        if len(self._remembered) >= REMEMBERED_AT_MOST:
            self._remembered.clear()  # what is asked again is only slower
        self._remembered[key] = Memory(allowed, self._now() + self._remembered_for)


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


_decoder = msgspec.json.Decoder(_AccessReview)


def _is_allowed(answer: bytes) -> bool:
    with decoding("the SubjectAccessReview"):
        return _decoder.decode(answer).status.allowed


def _question(subject: AnySubject, right: AnyRight) -> Mapping[str, Any]:
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
