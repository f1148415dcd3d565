"""What the one who is judged may do: SubjectAccessReviews, asked in parallel and remembered for some seconds.

Which rights a sync needs is a pure question (`rights_needed`); the answers reveal nothing of what exists, since a right is asked for by
name, whether or not there is anything of that name. `admission.py` asks before it looks at anything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from configmapsync.names import GROUP, PLURAL, NamespacedName
from configmapsync.resource import ConfigMapSync, DeletionPolicy
from kube.connection import Connection
from webhook.parallel import all_of
from webhook.review import User
from webhook.targets import Targets

PATH = "/apis/authorization.k8s.io/v1/subjectaccessreviews"

# The API server gives the webhook 5 s in all; what has not been answered by then is answered with a refusal in time.
ANSWERED_WITHIN_SECONDS = 3.0

# A right that was taken away works this much longer. One that was given works at once: a remembered "no" refuses nobody.
REMEMBERED_FOR_SECONDS = 5.0
REMEMBERED_AT_MOST = 10_000

EVERYWHERE = ""
ANY_NAME = ""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose rights count, as a SubjectAccessReview takes it; `title` is for messages."""

    title: str
    username: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one object, in one namespace or everywhere."""

    verb: str
    namespace: str
    name: str = ""
    group: str = ""
    resource: str = "configmaps"

    @property
    def broad(self) -> "Right":
        """The same verb on every object of the cluster: who has it has each of them."""
        return Right(self.verb, EVERYWHERE, ANY_NAME, self.group, self.resource)


@dataclass(frozen=True, slots=True)
class Need:
    """Rights that one field of the spec makes necessary in one namespace."""

    path: str
    namespace: str
    rights: tuple[Right, ...]


@dataclass(frozen=True, slots=True)
class Denial:
    """What is not allowed: the field that asks for it, and the sentence for the user."""

    path: str
    message: str


class Memory(NamedTuple):
    """An answer, and the moment on the event loop's clock until which it is believed."""

    allowed: bool
    until: float


def subject_of(sync: ConfigMapSync, user: User) -> Subject:
    """Return who is judged: the named service account where there is one, else the user who sent the request."""
    account = sync.spec.service_account_name
    return of_service_account(sync.metadata.namespace, account) if account else of_user(user)


def of_user(user: User) -> Subject:
    """Return the user as the API server sent them: groups, uid and extra count for its authorizers."""
    extra = tuple(sorted(user.extra.items()))
    return Subject(f'user "{user.username}"', user.username, user.uid, user.groups, extra)


def of_service_account(namespace: str, name: str) -> Subject:
    """Return a service account as the API server would authenticate it."""
    return Subject(
        title=f'service account "{namespace}/{name}"',
        username=f"system:serviceaccount:{namespace}:{name}",
        uid="",
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"),
        extra=(),
    )


def rights_needed(sync: ConfigMapSync, targets: Targets) -> tuple[Need, ...]:
    """Return every right that the sync would make use of, in the order of the spec's fields."""
    source = Need("spec.configMapName", sync.source.namespace, (Right("get", sync.source.namespace, sync.source.name),))
    places = [(path, namespace) for namespace, path in targets.named.items()]
    places += [(path, EVERYWHERE) for path in targets.open_ended]
    return source, *(Need(path, namespace, _writing(sync, namespace)) for path, namespace in places)


def right_to_see(sync: NamespacedName) -> Right:
    """Return the right that is needed to be told of another sync."""
    return Right("get", sync.namespace, sync.name, GROUP, PLURAL)


def _writing(sync: ConfigMapSync, namespace: str) -> tuple[Right, ...]:
    name = sync.destination_name
    rights = (Right("create", namespace), Right("update", namespace, name))
    deleting = (Right("delete", namespace, name),) if sync.spec.deletion_policy is DeletionPolicy.DELETE else ()
    return rights + deleting


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
            Denial(need.path, _sentence(subject, sync, need, missing))
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


def _sentence(subject: Subject, sync: ConfigMapSync, need: Need, missing: Sequence[Right]) -> str:
    """Word a denial from the spec alone, so that it is the same whether anything of that name exists or not."""
    verbs = ", ".join(right.verb for right in missing)
    name = sync.source.name if need.path == "spec.configMapName" else sync.destination_name
    place = f'in namespace "{need.namespace}"' if need.namespace else "in every namespace"
    return f'{subject.title} may not {verbs} the ConfigMap "{name}" {place}'
