"""Select the namespaces of a spec: names, globs and labels add up, and exclusions win.

The planner, the graph and the webhook ask a compiled `Selector`. Nothing here may look
at every namespace for each sync where the `NamespaceIndex` finds the few that matter.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from configmapsync import reason_messages
from configmapsync.globs import NOTHING, Globs, compiled, is_glob, literal_prefix
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE
from configmapsync.namespace_index import NamespaceIndex
from configmapsync.reasons import Outcome, Reason
from configmapsync.resource import ConfigMapSync
from configmapsync.spec import LabelSelector, SelectorOperator


@dataclass(frozen=True, slots=True)
class Namespace:
    """The part of a namespace that the rules read."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    terminating: bool = False
    uid: str = ""

    @property
    def disabled(self) -> bool:
        """Return whether the label of the namespace forbids copies."""
        return self.labels.get(SYNC_DISABLED_LABEL) == SYNC_DISABLED_VALUE

    @property
    def accepts_copies(self) -> bool:
        """Return whether copies can be written to the namespace."""
        return not self.terminating and not self.disabled


@dataclass(frozen=True, slots=True)
class Labels:
    """A compiled label selector; all requirements must hold, and an empty one matches everything.

    Attributes:
        inside: by label key, the allowed values (matchLabels, In).
        outside: by label key, the forbidden values (NotIn); the label may be missing.
        present: label keys that must exist.
        absent: label keys that must not exist.
    """

    inside: tuple[tuple[str, frozenset[str]], ...]
    outside: tuple[tuple[str, frozenset[str]], ...]
    present: frozenset[str]
    absent: frozenset[str]

    @classmethod
    def of(cls, selector: LabelSelector) -> Self:
        """Compile the label selector of a spec into one entry for each label key."""
        inside = {key: frozenset((value,)) for key, value in selector.match_labels.items()}
        outside: dict[str, frozenset[str]] = {}
        present = absent = NOTHING
        for requirement in selector.match_expressions:
            key, values = requirement.key, frozenset(requirement.values)
            match requirement.operator:
                case SelectorOperator.IN:
                    inside[key] = inside.get(key, values) & values
                case SelectorOperator.NOT_IN:
                    outside[key] = outside.get(key, values) | values
                case SelectorOperator.EXISTS:
                    present |= {key}
                case SelectorOperator.DOES_NOT_EXIST:
                    absent |= {key}
        return cls(tuple(inside.items()), tuple(outside.items()), present, absent)

    def match(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet all requirements."""
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
        exact_names: the exact names of namespaces.
        globs: the globs over names.
        labels: the label selector; None if there is none.
        excluded: names and globs that are never selected.
        protected: namespaces that only an exact name selects.
        source_namespace: never selected, because the copy would be the source itself; None if
            the copies have another name.
    """

    exact_names: frozenset[str]
    globs: Globs
    labels: Labels | None
    excluded: Globs
    protected: frozenset[str]
    source_namespace: str | None

    @classmethod
    def of(cls, sync: ConfigMapSync, protected: frozenset[str]) -> Self:
        """Compile the selection of a sync."""
        spec, patterns = sync.spec, sync.spec.destination_patterns
        onto_itself = sync.destination_name == sync.source.name
        labels = spec.destination_namespace_selector
        return cls(
            exact_names=frozenset(name for name in patterns if not is_glob(name)) or NOTHING,
            globs=compiled(filter(is_glob, patterns)),
            labels=Labels.of(labels) if labels is not None else None,
            excluded=compiled(spec.excluded_namespaces),
            protected=protected,
            source_namespace=sync.source.namespace if onto_itself else None,
        )

    @property
    def open_ended(self) -> bool:
        """Return whether the spec can select namespaces that it does not name."""
        return bool(self.globs) or self.labels is not None

    def among(self, namespaces: Mapping[str, Namespace]) -> Iterator[Namespace]:
        """Return the selected namespaces; cheaper for many than to call `matches` for each."""
        names = {name for name in self.exact_names if name in namespaces}
        if self.open_ended:
            names |= self._reached(namespaces)
        names -= self.excluded.among(names)
        return (namespaces[name] for name in names if name != self.source_namespace)

    def destinations(self, namespaces: Mapping[str, Namespace]) -> Iterator[str]:
        """Return the names of the selected namespaces that accept copies."""
        selected = self.among(namespaces)
        return (namespace.name for namespace in selected if namespace.accepts_copies)

    def refused(self, namespaces: Mapping[str, Namespace]) -> Iterator[Outcome]:
        """Yield an outcome, in order, for each exactly named namespace that gets no copy.

        A namespace that only globs or labels select is never refused.
        """
        for name in sorted(self.exact_names - self.excluded.among(self.exact_names)):
            namespace = namespaces.get(name)
            if name == self.source_namespace:
                yield Outcome(name, Reason.INVALID_SPEC, reason_messages.source_is_copy(name))
            elif namespace is None:
                message = reason_messages.namespace_not_found(name)
                yield Outcome(name, Reason.NAMESPACE_NOT_FOUND, message)
            elif namespace.terminating:
                message = reason_messages.namespace_terminating(name)
                yield Outcome(name, Reason.NAMESPACE_TERMINATING, message)
            elif namespace.disabled:
                message = reason_messages.namespace_disabled(name)
                yield Outcome(name, Reason.NAMESPACE_DISABLED, message)

    def reachable(self, names: Iterable[str]) -> list[str]:
        """Return the names that globs and label selector of the spec are allowed to select."""
        given = list(names)
        excluded = self.excluded.among(given) | self.protected | {self.source_namespace}
        return [name for name in given if name not in excluded]

    def near_globs(self, namespaces: Mapping[str, Namespace]) -> Iterable[str]:
        """Return at least the names that the globs match; an index narrows the search."""
        prefixes = dict.fromkeys(map(literal_prefix, self.globs.patterns))
        if "" in prefixes or not isinstance(namespaces, NamespaceIndex):
            return namespaces if prefixes else ()
        return dict.fromkeys(name for prefix in prefixes for name in namespaces.with_prefix(prefix))

    def near_labels(self, namespaces: Mapping[str, Namespace]) -> Iterable[str]:
        """Return at least the names that the labels match; an index narrows the search."""
        if self.labels is None:
            return ()
        if not isinstance(namespaces, NamespaceIndex):
            return namespaces
        return namespaces.labelled(self.labels)

    def matches(self, namespace: Namespace) -> bool:
        """Return whether the spec selects a namespace, even if that cannot get a copy."""
        name = namespace.name
        if name == self.source_namespace:
            return False
        if name not in self.exact_names and (
            name in self.protected or not self._reaches(namespace)
        ):
            return False
        return not self.excluded.matches(name)

    def _reaches(self, namespace: Namespace) -> bool:
        """Return whether globs or labels match a namespace."""
        return self.globs.matches(namespace.name) or (
            self.labels is not None and self.labels.match(namespace.labels)
        )

    def _reached(self, namespaces: Mapping[str, Namespace]) -> set[str]:
        """Return the names that globs and labels select."""
        reached = self.globs.among(self.near_globs(namespaces))
        if (labels := self.labels) is not None:
            names = self.near_labels(namespaces)
            reached |= {name for name in names if labels.match(namespaces[name].labels)}
        return reached - self.protected
