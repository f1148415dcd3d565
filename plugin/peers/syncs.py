"""Make one ConfigMapSync for each source and name of its copies.

`plugin/commands/import_.py` calls it after the modules of the tools. The order of the
result depends on the names alone. A sync that the rules of a spec reject is not
returned; it becomes a remark.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from configmapsync.defaulting import with_defaults
from configmapsync.names import (
    API_VERSION,
    KIND,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    NamespacedName,
)
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.selection import Namespace
from configmapsync.spec import ConflictPolicy
from configmapsync.validation import validate
from plugin.peers.destinations import Destinations, Matched, resolve
from plugin.peers.inventory import AnnotatedConfigMap, Inventory, Remark
from plugin.peers.selections import MOST_LISTED, Selection
from plugin.peers.selectors import NAME_LABEL, selector_document
from plugin.peers.wanted import WantedCopies

LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class ImportedSync:
    """A sync, and the objects whose annotations it replaces.

    Attributes:
        document: the object to apply.
        subjects: the annotated objects, sorted.
        tools: the names of the tools, sorted.
    """

    document: Mapping[str, Any]
    subjects: tuple[str, ...]
    tools: tuple[str, ...]


def make(
    wanted: Iterable[WantedCopies], inventory: Inventory, conflict_policy: ConflictPolicy
) -> tuple[list[ImportedSync], list[Remark]]:
    """Return the syncs that make the wanted copies, and remarks.

    Args:
        wanted: what the tools do.
        inventory: the objects that exist.
        conflict_policy: of every sync; Adopt takes the existing copies over.
    """
    groups: dict[tuple[NamespacedName, str], list[WantedCopies]] = defaultdict(list)
    for copies in wanted:
        groups[copies.source, copies.name].append(copies)
    maker = _Maker(inventory, conflict_policy)
    syncs = [sync for key in sorted(groups) if (sync := maker.sync(groups[key])) is not None]
    return syncs, maker.remarks


class _Maker:
    def __init__(self, inventory: Inventory, conflict_policy: ConflictPolicy) -> None:
        self._inventory = inventory
        self._conflict_policy = conflict_policy
        self._taken: set[NamespacedName] = set()
        self._matched: Matched = {}
        self._by_name: dict[str, list[AnnotatedConfigMap]] = defaultdict(list)
        for configmap in inventory.sorted_configmaps():
            self._by_name[configmap.name].append(configmap)
        self.remarks: list[Remark] = []

    def sync(self, group: list[WantedCopies]) -> ImportedSync | None:
        """Return the sync of one source and one name of copies; None if there is none."""
        subjects = tuple(sorted({copies.subject for copies in group}))
        source, name = group[0].source, group[0].name
        selection = reduce(Selection.union, (copies.selection for copies in group))
        destinations = resolve(selection, self._inventory.namespaces, self._matched)
        self._remark(subjects[0], destinations.losses, lost=True)
        self._remark(subjects[0], destinations.notes)
        blocked = self._blocked(group, destinations)
        onto_itself = {source.namespace} if name == source.name else set[str]()
        names = destinations.names - blocked - onto_itself
        excluded = blocked - destinations.names | self._reached(blocked, destinations)
        if not (names or destinations.globs or destinations.selector is not None):
            self._remark(subjects[0], ["copies to no namespace"])
            return None
        spec: dict[str, Any] = {"sourceNamespace": source.namespace, "configMapName": source.name}
        patterns = [*sorted(names), *sorted(destinations.globs)]
        if patterns:
            spec["destinationNamespaces"] = patterns
        if destinations.selector is not None:
            spec["destinationNamespaceSelector"] = selector_document(destinations.selector)
        if excluded:
            spec["excludedNamespaces"] = sorted(excluded)
        if name != source.name:
            spec["destinationConfigMapName"] = name
        spec |= _policies(group) | {"conflictPolicy": self._conflict_policy.value}
        key = self._reserve_name(source, name)
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": spec,
        }
        if errors := _errors(document):
            self._remark(
                subjects[0], [f"the sync would be invalid: {'; '.join(errors)}"], lost=True
            )
            return None
        return ImportedSync(document, subjects, tuple(sorted({copies.tool for copies in group})))

    def _remark(self, subject: str, texts: Iterable[str], *, lost: bool = False) -> None:
        self.remarks += [Remark(subject, text, lost) for text in texts]

    def _blocked(self, group: list[WantedCopies], destinations: Destinations) -> set[str]:
        """Return the namespaces where a ConfigMap exists that none of the tools made."""
        source, name = group[0].source, group[0].name
        blocked = {
            configmap.namespace
            for configmap in self._by_name[name]
            if configmap.key != source
            and configmap.labels.get(MANAGED_BY_LABEL) != MANAGED_BY_VALUE
            and not any(copies.is_copy(configmap) for copies in group)
            and destinations.selects(self._namespace(configmap.namespace))
        }
        if blocked:
            shown = ", ".join(sorted(blocked)[:MOST_LISTED])
            text = (
                f"a ConfigMap {name} that {group[0].tool} did not copy exists in {shown}"
                f"{' and more' if len(blocked) > MOST_LISTED else ''}; it is left alone"
            )
            self._remark(group[0].subject, [text])
        return blocked

    def _reached(self, blocked: set[str], destinations: Destinations) -> set[str]:
        """Return the named namespaces that globs or the selector would select without the name."""
        names = (blocked & destinations.names) - PROTECTED_NAMESPACES
        if not names:
            return set()
        open_ended = Destinations(frozenset(), destinations.globs, destinations.selector, (), ())
        return {name for name in names if open_ended.selects(self._namespace(name))}

    def _namespace(self, name: str) -> Namespace:
        known = (self._inventory.namespaces or {}).get(name)
        return known or Namespace(name, {NAME_LABEL: name})

    def _reserve_name(self, source: NamespacedName, name: str) -> NamespacedName:
        """Reserve a name in the namespace of the source that no other sync has."""
        wanted = source.name if name == source.name else f"{source.name}-to-{name}"
        for number in range(1, len(self._taken) + len(self._inventory.syncs) + 2):
            suffix = f"-{number}" if number > 1 else ""
            cut = wanted[: LONGEST_NAME - len(suffix)].rstrip("-.")
            key = NamespacedName(source.namespace, cut + suffix)
            existing = self._inventory.syncs.get(key)
            if key not in self._taken and existing in {None, (source, name)}:
                break
        self._taken.add(key)
        return key


def _policies(group: list[WantedCopies]) -> dict[str, Any]:
    """Return the fields of a spec that decide what is copied and what is deleted."""
    policies: dict[str, Any] = {}
    copied = {
        part: values
        for part, values in (
            ("labels", _union(copies.labels for copies in group)),
            ("annotations", _union(copies.annotations for copies in group)),
        )
        if values
    }
    if copied:
        policies["copyMetadata"] = copied
    if any(copies.follows_deletion for copies in group):
        policies["sourceDeletionPolicy"] = "Delete"
    else:
        # The user created these copies; the tool keeps them when it is switched off.
        policies["deletionPolicy"] = "Orphan"
    return policies


def _union(parts: Iterable[tuple[str, ...]]) -> list[str]:
    return sorted({entry for part in parts for entry in part})


def _errors(document: Mapping[str, Any]) -> list[str]:
    try:
        return [str(error) for error in validate(with_defaults(parse(document)))]
    except InvalidResourceError as invalid:
        return [str(error) for error in invalid.errors]
