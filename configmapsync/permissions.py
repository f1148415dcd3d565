"""Which rights a sync makes use of, and whose rights count. Pure: nothing here asks the API server.

The rights follow from the specs alone, whether or not anything of those names exists. So neither the rights nor the message of a denial
can reveal what exists. The webhook and the reconciler ask the API server for the answers (`kube/access.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from configmapsync.destination_paths import DestinationPaths
from configmapsync.dropped_destinations import dropped_destinations
from configmapsync.names import GROUP, PLURAL, NamespacedName
from configmapsync.resource import ConfigMapSync, DeletionPolicy, SourceDeletionPolicy

EVERYWHERE = ""
ANY_NAME = ""
SOURCE_PATH = "spec.configMapName"
ACCOUNT_PATH = "spec.serviceAccountName"


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
    subresource: str = ""

    @property
    def broad(self) -> "Right":
        """The same verb on every object of the cluster: who has it has each of them."""
        return Right(self.verb, EVERYWHERE, ANY_NAME, self.group, self.resource, self.subresource)


@dataclass(frozen=True, slots=True)
class Need:
    """Rights that one field of the spec makes necessary in one namespace.

    Attributes:
        path: the field.
        namespace: where; empty for every namespace.
        name: of the ConfigMap, for messages.
        rights: all of them are needed.
        dropped: whether the edit removes the copy, so that the message has to say so.
    """

    path: str
    namespace: str
    name: str
    rights: tuple[Right, ...]
    dropped: bool = False


@dataclass(frozen=True, slots=True)
class Denial:
    """What is not allowed: the field that asks for it, and the sentence for the user."""

    path: str
    message: str


def of_service_account(namespace: str, name: str) -> Subject:
    """Return a service account as the API server would authenticate it."""
    return Subject(
        title=f'service account "{namespace}/{name}"',
        username=f"system:serviceaccount:{namespace}:{name}",
        uid="",
        groups=(
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ),
        extra=(),
    )


def rights_needed(sync: ConfigMapSync, targets: DestinationPaths) -> tuple[Need, ...]:
    """Return every right that the sync would make use of, in the order of the spec's fields."""
    source = sync.source
    reading = Need(
        SOURCE_PATH, source.namespace, source.name, (Right("get", source.namespace, source.name),)
    )
    places = [(path, namespace) for namespace, path in targets.named.items()]
    places += [(path, EVERYWHERE) for path in targets.open_ended]
    name = sync.destination_name
    return reading, *(
        Need(path, namespace, name, _writing(sync, namespace)) for path, namespace in places
    )


def rights_to_drop(
    previous: ConfigMapSync, sync: ConfigMapSync, protected: frozenset[str]
) -> tuple[Need, ...]:
    """Return the rights for the destinations of `previous` that `sync` no longer has.

    Their copies are deleted or released by the deletion policy of the new spec. Releasing is an update.
    """
    verb = "delete" if sync.spec.deletion_policy is DeletionPolicy.DELETE else "update"
    name = previous.destination_name
    return tuple(
        Need(path, namespace, name, (Right(verb, namespace, name),), dropped=True)
        for path, namespace in dropped_destinations(previous, sync, protected)
    )


def rights_to_act_as(account: NamespacedName) -> tuple[Right, ...]:
    """Return the rights of which each by itself lets a user act as a service account: a sync that names it gives no more."""
    return (
        Right("impersonate", account.namespace, account.name, resource="serviceaccounts"),
        Right(
            "create",
            account.namespace,
            account.name,
            resource="serviceaccounts",
            subresource="token",
        ),
        Right("create", account.namespace, resource="pods"),
    )


def right_to_see(sync: NamespacedName) -> Right:
    """Return the right that is needed to be told of another sync."""
    return Right("get", sync.namespace, sync.name, GROUP, PLURAL)


def may_delete(sync: ConfigMapSync) -> bool:
    """Return whether any policy of the sync could delete a copy; only then an immutable copy is recreated."""
    spec = sync.spec
    return (
        spec.deletion_policy is DeletionPolicy.DELETE
        or spec.source_deletion_policy is SourceDeletionPolicy.DELETE
    )


def denials_of(subject: Subject, needs: Sequence[Need], missing: Collection[Right]) -> list[Denial]:
    """Return one sentence for each field and namespace where `subject` lacks rights.

    Args:
        subject: whose rights count.
        needs: what is needed.
        missing: the rights that the API server refused.
    """
    return [
        Denial(need.path, denial_sentence(subject, need, lacking))
        for need in needs
        if (lacking := [right for right in need.rights if right in missing])
    ]


def denial_sentence(subject: Subject, need: Need, lacking: Sequence[Right]) -> str:
    """Word a denial from the spec alone, so that it is the same whether anything of that name exists or not."""
    verbs = ", ".join(right.verb for right in lacking)
    place = f'in namespace "{need.namespace}"' if need.namespace else "in every namespace"
    reason = ", from which this change removes it" if need.dropped else ""
    return f'{subject.title} may not {verbs} the ConfigMap "{need.name}" {place}{reason}'


def acting_denial(user: Subject, account: NamespacedName) -> Denial:
    """Return the denial for a user who names a service account as which they may not act."""
    return Denial(
        ACCOUNT_PATH,
        f'{user.title} may not act as the service account "{account}": this needs the right to impersonate it, '
        f'to create its tokens, or to create pods in namespace "{account.namespace}"',
    )


def missing_account_denial(account: NamespacedName) -> Denial:
    """Return the denial for a service account that does not exist, whatever is bound to its name."""
    return Denial(ACCOUNT_PATH, f'service account "{account}" does not exist, and so has no rights')


def account_of(sync: ConfigMapSync) -> NamespacedName | None:
    """Return the service account that a sync names, or None."""
    name = sync.spec.service_account_name
    return NamespacedName(sync.metadata.namespace, name) if name else None


def _writing(sync: ConfigMapSync, namespace: str) -> tuple[Right, ...]:
    name = sync.destination_name
    rights = (Right("create", namespace), Right("update", namespace, name))
    return (*rights, Right("delete", namespace, name)) if may_delete(sync) else rights
