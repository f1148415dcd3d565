"""Which rights a sync makes use of, and whose rights count: pure questions, asked of nobody here.

The rights follow from the spec alone, whether or not there is anything of those names: so neither they nor the sentence for what is
missing can give away what exists. Webhook and reconciler ask the API server for the answers (`kube/access.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from configmapsync.names import GROUP, PLURAL, NamespacedName
from configmapsync.resource import ConfigMapSync, DeletionPolicy
from configmapsync.targets import Targets

EVERYWHERE = ""
ANY_NAME = ""
SOURCE_PATH = "spec.configMapName"


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
    source = Need(SOURCE_PATH, sync.source.namespace, (Right("get", sync.source.namespace, sync.source.name),))
    places = [(path, namespace) for namespace, path in targets.named.items()]
    places += [(path, EVERYWHERE) for path in targets.open_ended]
    return source, *(Need(path, namespace, _writing(sync, namespace)) for path, namespace in places)


def right_to_see(sync: NamespacedName) -> Right:
    """Return the right that is needed to be told of another sync."""
    return Right("get", sync.namespace, sync.name, GROUP, PLURAL)


def denials_of(subject: Subject, sync: ConfigMapSync, needs: Sequence[Need], held: Collection[Right]) -> list[Denial]:
    """Return what is missing where `subject` holds the rights `held`: one sentence for each field and namespace."""
    return [
        Denial(need.path, denial_sentence(subject, sync, need, missing))
        for need in needs
        if (missing := [right for right in need.rights if right not in held])
    ]


def _writing(sync: ConfigMapSync, namespace: str) -> tuple[Right, ...]:
    name = sync.destination_name
    rights = (Right("create", namespace), Right("update", namespace, name))
    deleting = (Right("delete", namespace, name),) if sync.spec.deletion_policy is DeletionPolicy.DELETE else ()
    return rights + deleting


def denial_sentence(subject: Subject, sync: ConfigMapSync, need: Need, missing: Sequence[Right]) -> str:
    """Word a denial from the spec alone, so that it is the same whether anything of that name exists or not."""
    verbs = ", ".join(right.verb for right in missing)
    name = sync.source.name if need.path == SOURCE_PATH else sync.destination_name
    place = f'in namespace "{need.namespace}"' if need.namespace else "in every namespace"
    return f'{subject.title} may not {verbs} the ConfigMap "{name}" {place}'
