"""List the rights that a sync needs, and make the denials for missing rights.

The webhook and the reconciler check the rights with the API server (`kube/access.py`).
A denial must depend only on the specs, so that it does not reveal which namespaces and
ConfigMaps exist. Only a missing service account is named as missing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from configmapsync.destination_paths import DestinationPaths
from configmapsync.dropped_destinations import dropped_destinations
from configmapsync.fielderrors import FieldError, forbidden
from configmapsync.names import GROUP, PLURAL, NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import DeletionPolicy

EVERYWHERE = ""
SOURCE_PATH = "spec.configMapName"
ACCOUNT_PATH = "spec.serviceAccountName"


@dataclass(frozen=True, slots=True)
class Subject:
    """The user of a SubjectAccessReview; `title` is for messages."""

    title: str
    username: str
    uid: str
    groups: tuple[str, ...]
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def review_fields(self) -> dict[str, object]:
        """Return the fields of a SubjectAccessReview that name the user."""
        return {
            "user": self.username,
            "uid": self.uid,
            "groups": self.groups,
            "extra": dict(self.extra),
        }


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one object, in one namespace or in all of them."""

    verb: str
    namespace: str
    name: str = ""
    group: str = ""
    resource: str = "configmaps"
    subresource: str = ""

    @property
    def broad(self) -> "Right":
        """Return the same verb on all objects of the cluster, which includes this right."""
        return replace(self, namespace=EVERYWHERE, name="")


@dataclass(frozen=True, slots=True)
class Need:
    """The rights that one field of the spec requires in one namespace.

    Attributes:
        path: of the field.
        namespace: the namespace; empty for all namespaces.
        name: of the ConfigMap, for messages.
        rights: the required rights.
        dropped: whether the edit removes the copy, which the message must say.
    """

    path: str
    namespace: str
    name: str
    rights: tuple[Right, ...]
    dropped: bool = False


def of_service_account(namespace: str, name: str) -> Subject:
    """Return a service account as the API server authenticates it."""
    return Subject(
        title=f'service account "{namespace}/{name}"',
        username=f"system:serviceaccount:{namespace}:{name}",
        uid="",
        groups=(
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        ),
    )


def rights_needed(sync: ConfigMapSync, paths: DestinationPaths) -> tuple[Need, ...]:
    """Return the rights that a sync uses, in the order of the spec's fields."""
    source = sync.source
    reading = Need(SOURCE_PATH, *source, (Right("get", *source),))
    destinations = [(path, namespace) for namespace, path in paths.named.items()]
    destinations += [(path, EVERYWHERE) for path in paths.open_ended]
    name = sync.destination_name
    return reading, *(
        Need(path, namespace, name, _writing(sync, namespace)) for path, namespace in destinations
    )


def rights_to_drop(
    previous: ConfigMapSync, sync: ConfigMapSync, protected: frozenset[str]
) -> tuple[Need, ...]:
    """Return the rights to remove the copies that an edit drops.

    The deletion policy of the new spec deletes or releases them. A release is an update.
    """
    verb = "delete" if sync.spec.deletion_policy is DeletionPolicy.DELETE else "update"
    name = previous.destination_name
    return tuple(
        Need(path, namespace, name, (Right(verb, namespace, name),), dropped=True)
        for path, namespace in dropped_destinations(previous, sync, protected)
    )


def rights_to_act_as(account: NamespacedName) -> tuple[Right, ...]:
    """Return the rights that allow to act as a service account; each of them is sufficient."""
    return (
        Right("impersonate", *account, resource="serviceaccounts"),
        Right("create", *account, resource="serviceaccounts", subresource="token"),
        Right("create", account.namespace, resource="pods"),
    )


def right_to_see(sync: NamespacedName) -> Right:
    """Return the right without which a message to a user must not name another sync."""
    return Right("get", *sync, GROUP, PLURAL)


def denials_of(
    subject: Subject, needs: Sequence[Need], missing: Collection[Right]
) -> list[FieldError]:
    """Return one denial for each field and namespace where a user lacks rights.

    Args:
        subject: the user.
        needs: the rights that the sync needs.
        missing: the rights that the user lacks.
    """
    return [
        forbidden(need.path, _denial(subject, need, lacking))
        for need in needs
        if (lacking := [right for right in need.rights if right in missing])
    ]


def _denial(subject: Subject, need: Need, lacking: Sequence[Right]) -> str:
    """Return the message of a denial, which depends only on the spec."""
    verbs = ", ".join(right.verb for right in lacking)
    place = f'in namespace "{need.namespace}"' if need.namespace else "in every namespace"
    reason = ", from which this change removes it" if need.dropped else ""
    return f'{subject.title} may not {verbs} the ConfigMap "{need.name}" {place}{reason}'


def acting_denial(user: Subject, account: NamespacedName) -> FieldError:
    """Return the denial for a user without the right to act as a service account."""
    return forbidden(
        ACCOUNT_PATH,
        f'{user.title} may not act as the service account "{account}": this needs the right to '
        "impersonate it, to create its tokens, or to create pods in namespace "
        f'"{account.namespace}"',
    )


def missing_account_denial(account: NamespacedName) -> FieldError:
    """Return the denial for a service account that does not exist; its name may have bindings."""
    message = f'service account "{account}" does not exist, and so has no rights'
    return forbidden(ACCOUNT_PATH, message)


def account_of(sync: ConfigMapSync) -> NamespacedName | None:
    """Return the service account of a sync; None if the spec names none."""
    name = sync.spec.service_account_name
    return NamespacedName(sync.metadata.namespace, name) if name else None


def _writing(sync: ConfigMapSync, namespace: str) -> tuple[Right, ...]:
    name = sync.destination_name
    rights = (Right("create", namespace), Right("update", namespace, name))
    return (*rights, Right("delete", namespace, name)) if sync.may_delete_copies else rights
