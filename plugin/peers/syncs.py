"""Make one ConfigMapSync for each source and name of its copies.

`importing.py` calls it after the modules of the tools. A sync that the rules of a spec
reject is not returned; it becomes a remark.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import count
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
from plugin.peers.destinations import Destinations, Resolver
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


class SyncMaker:
    """Makes the syncs of one import.

    Attributes:
        remarks: what the user must know about the syncs so far.
    """

    def __init__(self, inventory: Inventory, conflict_policy: ConflictPolicy) -> None:
        """Make nothing yet.

        Args:
            inventory: the objects that exist.
            conflict_policy: of every sync.
        """
        self._inventory = inventory
        self._conflict_policy = conflict_policy
        self._taken: set[NamespacedName] = set()
        self._resolver = Resolver(inventory.namespaces)
        self._by_name: dict[str, list[AnnotatedConfigMap]] = defaultdict(list)
        for configmap in inventory.sorted_configmaps():
            self._by_name[configmap.name].append(configmap)
        self.remarks: list[Remark] = []

    def sync(self, group: list[WantedCopies]) -> ImportedSync | None:
        """Return the sync of one source and one name of copies; None leaves a remark instead.

        Args:
            group: what the tools copy from that source under that name; not empty.
        """
        subjects = tuple(sorted({str(copies.asked_by) for copies in group}))
        source, name = group[0].source, group[0].asked_by.name
        selection = reduce(Selection.union, (copies.selection for copies in group))
        destinations = self._resolver.resolve(selection)
        self._remark(subjects[0], destinations.losses, lost=True)
        self._remark(subjects[0], destinations.notes)
        excluded = self._exclude_blocked(group, destinations)
        if name == source.name:
            destinations.names.discard(source.namespace)
        if not (destinations.names or destinations.globs or destinations.selector):
            self._remark(subjects[0], ["copies to no namespace"])
            return None
        key = self._reserve_name(source, name)
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": key.name, "namespace": key.namespace},
            "spec": _spec(group, destinations, excluded)
            | {"conflictPolicy": self._conflict_policy.value},
        }
        if errors := _errors(document):
            self._remark(
                subjects[0], [f"the sync would be invalid: {'; '.join(errors)}"], lost=True
            )
            return None
        return ImportedSync(document, subjects, tuple(sorted({copies.tool for copies in group})))

    def _remark(self, subject: str, texts: Iterable[str], *, lost: bool = False) -> None:
        self.remarks += [Remark(subject, text, lost) for text in texts]

    def _exclude_blocked(self, group: list[WantedCopies], destinations: Destinations) -> set[str]:
        """Leave out the namespaces where a ConfigMap exists that none of the tools made.

        Their names are removed. Those that are selected without a name are returned.
        """
        source, name = group[0].source, group[0].asked_by.name
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
            self._remark(str(group[0].asked_by), [text])
        destinations.names -= blocked
        return {
            namespace
            for namespace in blocked - PROTECTED_NAMESPACES
            if destinations.selects_without_name(self._namespace(namespace))
        }

    def _namespace(self, name: str) -> Namespace:
        known = (self._inventory.namespaces or {}).get(name)
        return known or Namespace(name, {NAME_LABEL: name})

    def _reserve_name(self, source: NamespacedName, name: str) -> NamespacedName:
        """Reserve a name in the namespace of the source that no sync of other copies has."""
        wanted = source.name if name == source.name else f"{source.name}-to-{name}"
        for number in count(1):
            suffix = f"-{number}" if number > 1 else ""
            cut = wanted[: LONGEST_NAME - len(suffix)].rstrip("-.")
            key = NamespacedName(source.namespace, cut + suffix)
            existing = self._inventory.syncs.get(key)
            if key not in self._taken and existing in {None, (source, name)}:
                break
        self._taken.add(key)
        return key


def _spec(
    group: list[WantedCopies], destinations: Destinations, excluded: Iterable[str]
) -> dict[str, Any]:
    """Return the fields of the spec that have a value."""
    source, name = group[0].source, group[0].asked_by.name
    copied = {
        "labels": sorted({entry for copies in group for entry in copies.labels}),
        "annotations": sorted({entry for copies in group for entry in copies.annotations}),
    }
    fields = {
        "sourceNamespace": source.namespace,
        "configMapName": source.name,
        "destinationNamespaces": [*sorted(destinations.names), *sorted(destinations.globs)],
        "destinationNamespaceSelector": selector_document(destinations.selector),
        "excludedNamespaces": sorted(excluded),
        "destinationConfigMapName": name if name != source.name else "",
        "copyMetadata": {part: entries for part, entries in copied.items() if entries},
    }
    if any(copies.follows_deletion for copies in group):
        fields["sourceDeletionPolicy"] = "Delete"
    else:
        # The user created these copies; the tool keeps them when it is switched off.
        fields["deletionPolicy"] = "Orphan"
    return {field: value for field, value in fields.items() if value}


def _errors(document: Mapping[str, Any]) -> list[str]:
    try:
        return [str(error) for error in validate(with_defaults(parse(document)))]
    except InvalidResourceError as invalid:
        return [str(error) for error in invalid.errors]
