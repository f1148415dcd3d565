"""Which namespaces a spec selects: names, anchored globs and labels add up; exclusion wins; and some are never destinations.

What a user named exactly and cannot have is refused with a reason; what a glob or a selector does not reach is simply not selected.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from configmapsync.globs import Globs, is_glob
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync, LabelSelector, SelectorOperator


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
class Labels:
    """A compiled label selector; all requirements must hold, and an empty one matches everything.

    Attributes:
        inside: label keys and the values of which each must have one (matchLabels, In).
        outside: label keys and the values of which each must have none (NotIn); a label
            that is missing has none.
        present: label keys that must exist.
        absent: label keys that must not exist.
    """

    inside: tuple[tuple[str, frozenset[str]], ...]
    outside: tuple[tuple[str, frozenset[str]], ...]
    present: frozenset[str]
    absent: frozenset[str]

    @classmethod
    def of(cls, selector: LabelSelector) -> Self:
        """Compile a label selector of a spec, with one entry for each label key."""
        inside = {key: frozenset((value,)) for key, value in selector.match_labels.items()}
        outside: dict[str, frozenset[str]] = {}
        by_operator: dict[SelectorOperator, set[str]] = defaultdict(set)
        for requirement in selector.match_expressions:
            key, values = requirement.key, frozenset(requirement.values)
            by_operator[requirement.operator].add(key)
            if requirement.operator is SelectorOperator.IN:
                inside[key] = inside.get(key, values) & values
            elif requirement.operator is SelectorOperator.NOT_IN:
                outside[key] = outside.get(key, values) | values
        present, absent = (
            by_operator[SelectorOperator.EXISTS],
            by_operator[SelectorOperator.DOES_NOT_EXIST],
        )
        return cls(
            tuple(inside.items()), tuple(outside.items()), frozenset(present), frozenset(absent)
        )

    def match(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` meet all requirements."""
        return (
            all(labels.get(key) in values for key, values in self.inside)
            and labels.keys() >= self.present
            and self.absent.isdisjoint(labels)
            and all(labels.get(key) not in values for key, values in self.outside)
        )


@dataclass(frozen=True, slots=True)
class Selector:
    """The compiled selection of a spec.

    Attributes:
        exact_names: namespaces named in full.
        globs: patterns over names.
        labels: the label selector; None if there is none.
        excluded: names and patterns that are never selected.
        protected: namespaces that only an exact name reaches.
        source_namespace: never selected because the copy would be the source itself;
            None if the names differ.
    """

    exact_names: frozenset[str]
    globs: Globs
    labels: Labels | None
    excluded: Globs
    protected: frozenset[str]
    source_namespace: str | None

    @classmethod
    def of(cls, sync: ConfigMapSync, protected: frozenset[str]) -> Self:
        """Compile the selection of `sync`."""
        spec = sync.spec
        named = {spec.destination_namespace} if spec.destination_namespace else set()
        onto_itself = sync.destination_name == sync.source.name
        labels = spec.destination_namespace_selector
        return cls(
            exact_names=frozenset(
                named | {name for name in spec.destination_namespaces if not is_glob(name)}
            ),
            globs=Globs(pattern for pattern in spec.destination_namespaces if is_glob(pattern)),
            labels=Labels.of(labels) if labels is not None else None,
            excluded=Globs(spec.excluded_namespaces),
            protected=protected,
            source_namespace=sync.source.namespace if onto_itself else None,
        )

    @property
    def open_ended(self) -> bool:
        """Whether it may select namespaces that it does not name."""
        return bool(self.globs) or self.labels is not None

    def among(self, namespaces: Mapping[str, Namespace]) -> Iterator[Namespace]:
        """Yield the namespaces that it matches; for thousands, cheaper than `matches` of each."""
        names = {name for name in self.exact_names if name in namespaces}
        if self.open_ended:
            names |= self._reached(namespaces)
        names -= self.excluded.among(names)
        return (namespaces[name] for name in names if name != self.source_namespace)

    def reachable(self, namespaces: Mapping[str, Namespace]) -> dict[str, Namespace]:
        """Return the namespaces that a glob or a label selector of this spec may select."""
        excluded = self.excluded.among(namespaces) | self.protected | {self.source_namespace}
        return {name: namespace for name, namespace in namespaces.items() if name not in excluded}

    def matches(self, namespace: Namespace) -> bool:
        """Whether the spec selects `namespace`, which may still be unable to take a copy."""
        name = namespace.name
        if name == self.source_namespace:
            return False
        if name not in self.exact_names and (
            name in self.protected or not self._reaches(namespace)
        ):
            return False
        return not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Whether a namespace of that name is excluded."""
        return self.excluded.matches(name)

    def _reaches(self, namespace: Namespace) -> bool:
        return self.globs.matches(namespace.name) or (
            self.labels is not None and self.labels.match(namespace.labels)
        )

    def _reached(self, namespaces: Mapping[str, Namespace]) -> set[str]:
        reached = self.globs.among(namespaces)
        if self.labels is not None:
            reached |= {
                name
                for name, namespace in namespaces.items()
                if self.labels.match(namespace.labels)
            }
        return reached - self.protected


def select(
    sync: ConfigMapSync, namespaces: Mapping[str, Namespace], protected: frozenset[str]
) -> Selection:
    """Every namespace that gets a copy of `sync`, and every one that was named and cannot."""
    selector = Selector.of(sync, protected)
    able = (
        view.name
        for view in selector.among(namespaces)
        if not view.terminating and not view.disabled
    )
    asked_for = selector.exact_names - selector.excluded.among(selector.exact_names)
    refused = (_refusal(selector, name, namespaces.get(name)) for name in asked_for)
    return Selection(
        selected=tuple(sorted(able)),
        refused=tuple(
            sorted(
                (refusal for refusal in refused if refusal), key=lambda refusal: refusal.namespace
            )
        ),
    )


def _refusal(selector: Selector, name: str, namespace: Namespace | None) -> Refused | None:
    """Return why a named namespace that is not excluded gets no copy; None if it gets one."""
    if name == selector.source_namespace:
        return Refused(
            name, Reason.INVALID_SPEC, f'the copy in namespace "{name}" would be the source itself'
        )
    if namespace is None:
        return Refused(name, Reason.NAMESPACE_NOT_FOUND, f'namespace "{name}" not found')
    if namespace.terminating:
        return Refused(
            name, Reason.NAMESPACE_TERMINATING, f'namespace "{name}" is being terminated'
        )
    if namespace.disabled:
        message = f'namespace "{name}" is labelled {SYNC_DISABLED_LABEL}: {SYNC_DISABLED_VALUE}'
        return Refused(name, Reason.NAMESPACE_DISABLED, message)
    return None
