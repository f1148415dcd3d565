"""What somebody may do: SubjectAccessReviews, asked in parallel and remembered for some seconds."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import msgspec

from kube.api_server import ApiServer
from kube.errors import Malformed
from kube.parallel import all_of
from kube.rbac import Rule

RULES = (
    Rule("subjectaccessreviews", ("create",), group="authorization.k8s.io", why="may somebody do what is asked for?"),
)
PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

# An API server gives a webhook 10 s at most; what has not been answered by then is answered with a refusal in time.
ANSWERED_WITHIN_SECONDS = 3.0
REMEMBERED_AT_MOST = 10_000


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
    def broad(self) -> Self:
        """The same verb on every object of the cluster: who has it has each of them."""


RightT = TypeVar("RightT", bound=AnyRight)


class Memory(NamedTuple):
    """An answer, and the moment on the event loop's clock until which it is believed."""

    allowed: bool
    until: float


class AccessReviews(Generic[RightT]):
    """Asks the API server, each thing once within some seconds.

    Args:
        connection: the way to the API server.
        now: the event loop's clock.
        on_answer: told of every answer of the API server.
        remembered_for: seconds; a right that was taken away works this much longer. One that was given works at once: a remembered
            "no" refuses nobody.
    """

    def __init__(
        self,
        connection: ApiServer,
        now: Callable[[], float],
        on_answer: Callable[[bool], None],
        remembered_for: float,
    ) -> None:
        self._connection = connection
        self._now = now
        self._on_answer = on_answer
        self._remembered_for = remembered_for
        self._remembered: dict[tuple[AnySubject, RightT], Memory] = {}

    async def may(self, subject: AnySubject, rights: Iterable[RightT]) -> set[RightT]:
        """Return those of `rights` that `subject` has.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        rights = list(dict.fromkeys(rights))
        answers = await all_of(self._ask(subject, right) for right in rights)
        return {right for right, yes in zip(rights, answers, strict=True) if yes}

    async def may_broadly(self, subject: AnySubject, rights: Iterable[RightT]) -> set[RightT]:
        """As `may`, asking broadly first: who administers the cluster costs few answers, however many namespaces there are.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        wanted = set(rights)
        broad = {right.broad for right in wanted} - wanted
        answers = await all_of(self._ask(subject, right, believe_no=True) for right in broad)
        held = {right for right, yes in zip(broad, answers, strict=True) if yes}
        allowed = {right for right in wanted if right.broad in held}
        return allowed | await self.may(subject, wanted - allowed)

    async def _ask(self, subject: AnySubject, right: RightT, *, believe_no: bool = False) -> bool:
        """Return whether `subject` has `right`; a remembered "no" is believed only where it refuses nobody."""
        key = (subject, right)
        memory = self._remembered.get(key)
        if memory and memory.until > self._now() and (memory.allowed or believe_no):
            return memory.allowed
        body = msgspec.json.encode(_question(subject, right))
        answer = await self._connection.request("POST", PATH, body=body, timeout=ANSWERED_WITHIN_SECONDS)
        yes = _is_allowed(answer)
        self._on_answer(yes)
        self._remember(key, allowed=yes)
        return yes

    def _remember(self, key: tuple[AnySubject, RightT], *, allowed: bool) -> None:
        if len(self._remembered) >= REMEMBERED_AT_MOST:
            self._remembered.clear()  # what is asked again is only slower
        self._remembered[key] = Memory(allowed, self._now() + self._remembered_for)


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


_decoder = msgspec.json.Decoder(_AccessReview)


def _is_allowed(answer: bytes) -> bool:
    try:
        return _decoder.decode(answer).status.allowed
    except msgspec.DecodeError as error:
        raise Malformed(f"POST {PATH}: the answer is no review") from error


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
                "namespace": right.namespace,
                "name": right.name,
            },
        },
    }
