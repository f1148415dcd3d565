"""What the one who is judged may do: SubjectAccessReviews, asked in parallel and remembered for some seconds.

Which rights a sync needs is a pure question (`rights_needed`); the answers reveal nothing of what exists, since a right is asked for by
name, whether or not there is anything of that name. `admission.py` asks before it looks at anything else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

# A right that was taken away works this much longer; one that was given works at once, because a "no" is not remembered.
REMEMBERED_FOR_SECONDS = 5.0
REMEMBERED_AT_MOST = 10_000

EVERYWHERE = ""

# From here on it is cheaper to ask first whether the right is there for the whole cluster.
MANY_NAMESPACES = 4


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

    def everywhere(self) -> "Right":
        """Return the same right for the whole cluster."""
        return Right(self.verb, EVERYWHERE, self.name, self.group, self.resource)


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
    _remembered: dict[tuple[Subject, Right], float] = field(default_factory=dict)

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
        """A right for the whole cluster answers for every namespace: many namespaces cost three questions then."""
        covered: set[Right] = set()
        if len({right.namespace for right in wanted}) > MANY_NAMESPACES:
            covered = await self.may(subject, {right.everywhere() for right in wanted})
        allowed = {right for right in wanted if right.everywhere() in covered}
        return allowed | await self.may(subject, wanted - allowed)

    async def _ask(self, subject: Subject, right: Right) -> bool:
        key = (subject, right)
        if self._remembered.get(key, 0.0) > self.now():
            return True
        body = msgspec.json.encode(_question(subject, right))
        answer = await self.connection.request("POST", PATH, body=body, timeout=ANSWERED_WITHIN_SECONDS)
        yes = _decoder.decode(answer).status.allowed
        self.on_answer(yes)
        if yes:
            self._remember(key)
        return yes

    def _remember(self, key: tuple[Subject, Right]) -> None:
        if len(self._remembered) >= REMEMBERED_AT_MOST:
            self._remembered.clear()  # what is asked again is only slower
        self._remembered[key] = self.now() + REMEMBERED_FOR_SECONDS


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
