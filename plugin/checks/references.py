"""Check syncs against the other objects of files, and of a cluster if there is one.

`plugin/commands/check.py` calls it. It admits one sync after the other, as the webhook
does if the files are applied in their order, with the same checks. Without a cluster, a
namespace or source outside of the files is assumed to exist, with a warning if the
files define other objects of the same kind.
"""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from configmapsync.admission_checks import AdmissionInput, Snapshot, warnings
from configmapsync.admission_checks import check as admit
from configmapsync.destination_paths import DestinationPaths, destination_paths
from configmapsync.graph.index import Graph
from configmapsync.graph.review import ReviewSearch
from configmapsync.names import (
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    NamespacedName,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from dryrun.yaml_nodes import Node
from plugin.checks.findings import Finding, Severity
from plugin.checks.manifests import Manifest, texts_of
from plugin.peers.selectors import NAME_LABEL

MOST_BLOCKERS = 8
MOST_WRITERS = 9  # syncs that are compared with a source


@dataclass(slots=True)
class Known:
    """The objects that a check knows.

    Attributes:
        namespaces: by name.
        complete: whether these are all namespaces.
        syncs: of the cluster, by key.
        configmaps: keys of each ConfigMap; None if they were not read.
        managed: ConfigMaps that a sync manages.
        missing: ConfigMaps that are known not to exist.
    """

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    complete: bool = False
    syncs: dict[NamespacedName, ConfigMapSync] = field(default_factory=dict)
    configmaps: dict[NamespacedName, frozenset[str] | None] = field(default_factory=dict)
    managed: set[NamespacedName] = field(default_factory=set)
    missing: set[NamespacedName] = field(default_factory=set)


def _add_files(known: Known, manifests: Iterable[Manifest]) -> set[str]:
    """Add the namespaces and ConfigMaps of files; return the namespaces that files define.

    The namespace of each object is assumed to exist, because the object could not be applied
    otherwise.
    """
    defined: set[str] = set()
    for manifest in manifests:
        key, labels = manifest.key, texts_of(manifest.metadata.get("labels"))
        if manifest.kind == "Namespace":
            known.namespaces[key.name] = Namespace(key.name, labels | {NAME_LABEL: key.name})
            defined.add(key.name)
            continue
        namespace = Namespace(key.namespace, {NAME_LABEL: key.namespace})
        known.namespaces.setdefault(key.namespace, namespace)
        if manifest.kind == "ConfigMap":
            known.configmaps[key] = _keys(manifest.node)
            if labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE:
                known.managed.add(key)
    return defined


class References:
    """Admits syncs in the order of the files."""

    def __init__(self, known: Known, manifests: Iterable[Manifest]) -> None:
        """Build the graph of the syncs of the cluster.

        Args:
            known: the objects of the cluster, to which those of the files are added.
            manifests: the objects of the files.
        """
        self._known = known
        self._defined = _add_files(known, manifests)
        self._files: dict[NamespacedName, Manifest] = {}
        self._syncs = dict(known.syncs)
        self._graph = Graph()
        for namespace in known.namespaces.values():
            self._graph.put_namespace(namespace)
        for sync in known.syncs.values():
            self._graph.put(sync, Selector.of(sync, PROTECTED_NAMESPACES))

    def check(self, manifest: Manifest, sync: ConfigMapSync) -> Iterator[Finding]:
        """Yield the findings of one sync; without an error, later syncs are checked against it."""
        if (first := self._files.setdefault(sync.key, manifest)) is not manifest:
            message = f"is defined twice; the first time at {first.file}:{first.node.position.line}"
            twice = manifest.finding("metadata.name", message)
            yield replace(twice, field="")
        selector = Selector.of(sync, PROTECTED_NAMESPACES)
        targets = destination_paths(sync, selector)
        sync_input = AdmissionInput(sync, selector, targets, self._known.syncs.get(sync.key))
        snapshot = self._snapshot(sync_input)
        errors = admit(sync_input, snapshot)
        for error in errors:
            yield manifest.finding(error.path, error.message)
        for text in (*warnings(sync_input, snapshot), *self._undefined(sync, targets)):
            path, colon, message = text.partition(": ")
            if not (colon and path.startswith("spec.")):
                path, message = "", text
            yield manifest.finding(path, message, Severity.WARNING)
        if not errors:
            self._graph.put(sync, selector)
            self._syncs[sync.key] = sync

    def _snapshot(self, sync_input: AdmissionInput) -> Snapshot:
        known, sync = self._known, sync_input.sync
        search = ReviewSearch(self._graph, sync, sync_input.selector)
        return Snapshot(
            namespaces=known.namespaces,
            cycle=(cycle := search.cycle()),
            contested=tuple(search.contested()),
            visible=frozenset(self._syncs),
            readable=frozenset(cycle or ()),
            source_missing=self._source_is_missing(sync),
            source_keys=known.configmaps.get(sync.source),
            blockers=tuple(islice(self._blockers(sync_input), MOST_BLOCKERS)),
            complete=known.complete,
        )

    def _source_is_missing(self, sync: ConfigMapSync) -> bool:
        """Return whether neither a file nor the cluster has the source, and no sync writes it.

        Without a cluster, a source is missing only if the files have other ConfigMaps of its
        namespace.
        """
        source, known = sync.source, self._known
        writers = islice(self._graph.possible_claimants(source), MOST_WRITERS)
        if source in known.configmaps or any(
            self._graph.reaches(writer, source.namespace) for writer in writers
        ):
            return False
        if known.complete:
            return source in known.missing
        return any(key.namespace == source.namespace for key in known.configmaps)

    def _blockers(self, sync_input: AdmissionInput) -> Iterator[NamespacedName]:
        sync, known = sync_input.sync, self._known
        selected = (one.name for one in sync_input.selector.among(known.namespaces))
        for namespace in sorted({*sync_input.targets.named, *selected}):
            key = NamespacedName(namespace, sync.destination_name)
            if key in known.configmaps and key not in known.managed and key != sync.source:
                yield key

    def _undefined(self, sync: ConfigMapSync, targets: DestinationPaths) -> Iterator[str]:
        """Yield a warning for each named namespace that the files do not define."""
        if self._known.complete or not self._defined:
            return
        named = {"spec.sourceNamespace": sync.source.namespace}
        named |= {path: name for name, path in targets.named.items()}
        for path, name in named.items():
            if name not in self._known.namespaces:
                close = difflib.get_close_matches(name, sorted(self._known.namespaces), 1)
                hint = f'; did you mean "{close[0]}"?' if close else ""
                yield f'{path}: the files do not define the namespace "{name}"{hint}'


def _keys(node: Node) -> frozenset[str]:
    parts = (node.get("data"), node.get("binaryData"))
    return frozenset(
        key
        for part in parts
        if part is not None and isinstance(part.value, dict)
        for key in part.value
    )
