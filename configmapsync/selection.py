"""Which namespaces a spec selects: names, anchored globs and labels add up; exclusion wins; and some are never destinations.

What a user named exactly and cannot have is refused with a reason; what a glob or a selector does not reach is simply not selected.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from configmapsync import globs
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync, LabelSelector, LabelSelectorRequirement, SelectorOperator


@dataclass(frozen=True, slots=True)
class Namespace:
    """What the rules read of a namespace."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    terminating: bool = False
    uid: str = ""

    @property
    def disabled(self) -> bool:
        """Whether it asks to be left alone."""
        return self.labels.get(SYNC_DISABLED_LABEL) == SYNC_DISABLED_VALUE


@dataclass(frozen=True, slots=True)
class Refused:
    """A namespace that was named exactly and gets no copy."""

    namespace: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The namespaces a sync is to serve, and those it was asked to serve and cannot; both sorted by name."""

    selected: tuple[str, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Selector:
    """A spec's selection, ready to be asked about one namespace at a time.

    Attributes:
        exact_names: namespaces named in full.
        globs: patterns over names.
        labels: the label selector; None where there is none.
        excluded: names and patterns that are never selected.
        protected: namespaces that only an exact name reaches.
        source_namespace: never selected where the copy would be the source itself; None where it may be.
    """

    exact_names: frozenset[str]
    globs: tuple[str, ...]
    labels: LabelSelector | None
    excluded: tuple[str, ...]
    protected: frozenset[str]
    source_namespace: str | None

    @classmethod
    def of(cls, sync: ConfigMapSync, protected: frozenset[str]) -> Self:
        """The selection of `sync`, whose defaults are filled in."""
        spec = sync.spec
        named = {spec.destination_namespace} if spec.destination_namespace else set()
        onto_itself = sync.destination_name == sync.source.name
        return cls(
            exact_names=frozenset(named | {name for name in spec.destination_namespaces if not globs.is_glob(name)}),
            globs=tuple(pattern for pattern in spec.destination_namespaces if globs.is_glob(pattern)),
            labels=spec.destination_namespace_selector,
            excluded=spec.excluded_namespaces,
            protected=protected,
            source_namespace=sync.source.namespace if onto_itself else None,
        )

    @property
    def open_ended(self) -> bool:
        """Whether it may select namespaces that it does not name."""
        return bool(self.globs) or self.labels is not None

    def among(self, namespaces: Mapping[str, Namespace]) -> Iterable[Namespace]:
        """Those that it matches; asked of all only where it may match any, for most syncs name their few."""
        names = namespaces if self.open_ended else (name for name in self.exact_names if name in namespaces)
        return (view for name in names if self.matches(view := namespaces[name]))

    def matches(self, namespace: Namespace) -> bool:
        """Whether `namespace` should have a copy as far as the spec goes, be it able to take one or not."""
        name = namespace.name
        if name == self.source_namespace or self.excludes(name):
            return False
        return name in self.exact_names or (name not in self.protected and self._reaches(namespace))

    def excludes(self, name: str) -> bool:
        """Whether a namespace of that name is excluded."""
        return any(globs.matches(pattern, name) for pattern in self.excluded)

    def _reaches(self, namespace: Namespace) -> bool:
        if any(globs.matches(pattern, namespace.name) for pattern in self.globs):
            return True
        return self.labels is not None and label_selector_matches(self.labels, namespace.labels)


def select(sync: ConfigMapSync, namespaces: Mapping[str, Namespace], protected: frozenset[str]) -> Selection:
    """Every namespace that gets a copy of `sync`, and every one that was named and cannot."""
    selector = Selector.of(sync, protected)
    able = (view.name for view in selector.among(namespaces) if not view.terminating and not view.disabled)
    refused = (_refusal(selector, name, namespaces.get(name)) for name in selector.exact_names)
    return Selection(
        selected=tuple(sorted(able)),
        refused=tuple(sorted((refusal for refusal in refused if refusal), key=lambda refusal: refusal.namespace)),
    )


def _refusal(selector: Selector, name: str, namespace: Namespace | None) -> Refused | None:
    """Why a namespace that was named gets nothing; None where it is served, or excluded as asked."""
    if selector.excludes(name):
        return None
    if name == selector.source_namespace:
        return Refused(name, Reason.INVALID_SPEC, f'the copy in namespace "{name}" would be the source itself')
    if namespace is None:
        return Refused(name, Reason.NAMESPACE_NOT_FOUND, f'namespace "{name}" not found')
    if namespace.terminating:
        return Refused(name, Reason.NAMESPACE_TERMINATING, f'namespace "{name}" is being terminated')
    if namespace.disabled:
        message = f'namespace "{name}" is labelled {SYNC_DISABLED_LABEL}: {SYNC_DISABLED_VALUE}'
        return Refused(name, Reason.NAMESPACE_DISABLED, message)
    return None


def label_selector_matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether all requirements hold; an empty selector matches everything."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _requirement_holds(requirement, labels) for requirement in selector.match_expressions
    )


def _requirement_holds(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """As in Kubernetes, NotIn also holds where the label is not there at all."""
    value = labels.get(requirement.key)
    match requirement.operator:
        case SelectorOperator.IN:
            return value is not None and value in requirement.values
        case SelectorOperator.NOT_IN:
            return value is None or value not in requirement.values
        case SelectorOperator.EXISTS:
            return value is not None
        case SelectorOperator.DOES_NOT_EXIST:
            return value is None
