"""What the one who is judged may do: SubjectAccessReviews, asked in parallel and remembered for some seconds.

Which rights a sync needs is in `rights.py`. `admission.py` asks here before it looks at anything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from configmapsync.resource import ConfigMapSync
from kube.connection import Connection
from webhook.parallel import all_of
from webhook.rights import Denial, Need, Right, Subject, denial_sentence

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

# The API server gives the webhook 5 s in all; what has not been answered by then is answered with a refusal in time.
ANSWERED_WITHIN_SECONDS = 3.0

# A right that was taken away works this much longer. One that was given works at once: a remembered "no" refuses nobody.
REMEMBERED_FOR_SECONDS = 5.0
REMEMBERED_AT_MOST = 10_000


class Memory(NamedTuple):
    """An answer, and the moment on the event loop's clock until which it is believed."""

    allowed: bool
    until: float


@dataclass(frozen=True, slots=True)
class Authorizer:
    """Asks the API server, each thing once within some seconds."""

    connection: Connection
    now: Callable[[], float]  # the event loop's clock
    on_answer: Callable[[bool], None]
    _remembered: dict[tuple[Subject, Right], Memory] = field(default_factory=dict)

    async def denials(self, subject: Subject, sync: ConfigMapSync, needs: Sequence[Need]) -> list[Denial]:
        """Return what `subject` may not do, one sentence for each field and namespace.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        wanted = {right for need in needs for right in need.rights}
        allowed = await self._allowed(subject, wanted)
        return [
            Denial(need.path, denial_sentence(subject, sync, need, missing))
            for need in needs
            if (missing := [right for right in need.rights if right not in allowed])
        ]

    async def may(self, subject: Subject, rights: Iterable[Right]) -> set[Right]:
        """Return those of `rights` that `subject` has.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        rights = list(rights)
        answers = await all_of(self._ask(subject, right) for right in rights)
        return {right for right, yes in zip(rights, answers, strict=True) if yes}

    async def _allowed(self, subject: Subject, wanted: set[Right]) -> set[Right]:
        """Ask broadly first: who administers the cluster costs four answers every few seconds, however many namespaces there are."""
        broad = {right.broad for right in wanted} - wanted
        answers = await all_of(self._ask(subject, right, believe_no=True) for right in broad)
        held = {right for right, yes in zip(broad, answers, strict=True) if yes}
        allowed = {right for right in wanted if right.broad in held}
        return allowed | await self.may(subject, wanted - allowed)

    async def _ask(self, subject: Subject, right: Right, *, believe_no: bool = False) -> bool:
        """Return whether `subject` has `right`; a remembered "no" is believed only where it refuses nobody."""
        key = (subject, right)
        memory = self._remembered.get(key)
        if memory and memory.until > self.now() and (memory.allowed or believe_no):
            return memory.allowed
        body = msgspec.json.encode(_question(subject, right))
        answer = await self.connection.request("POST", PATH, body=body, timeout=ANSWERED_WITHIN_SECONDS)
        yes = _decoder.decode(answer).status.allowed
        self.on_answer(yes)
        self._remember(key, allowed=yes)
        return yes

    def _remember(self, key: tuple[Subject, Right], *, allowed: bool) -> None:
        if len(self._remembered) >= REMEMBERED_AT_MOST:
            self._remembered.clear()  # what is asked again is only slower
        self._remembered[key] = Memory(allowed, self.now() + REMEMBERED_FOR_SECONDS)


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


_decoder = msgspec.json.Decoder(_AccessReview)


def _question(subject: Subject, right: Right) -> Mapping[str, Any]:
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
