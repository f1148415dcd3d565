"""Check every write of the reconciler at the moment when the API server accepts it.

The fake connection calls the checker before and after each write. It must not raise,
because the reconciler would take the error for one of the API server: it collects
violations, and the machine checks them after every step.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from devcluster.storage.store import Event
from tests.randomized.cluster import CONFIGMAPS, SYNCS, InMemoryCluster
from tests.randomized.expected import (
    ADOPTED,
    APPLIED,
    DESTINATION,
    PREFIX,
    PROTECTED,
    RELEASED_BY,
    REPLACED,
    SYNCED_BY,
    UID,
    Document,
    Key,
    Sync,
    chosen,
    content_of,
    is_adopted,
    is_copy,
    key_of,
    released_by,
    synced_by,
)

OWN_KEYS = (PREFIX, "app.kubernetes.io/managed-by")


class WriteChecker:
    """Remembers every spec and content that ever existed, and checks each write against them."""

    def __init__(self, cluster: InMemoryCluster) -> None:
        self._cluster = cluster
        # By UID, every spec that existed.
        self._specs: defaultdict[str, list[Sync]] = defaultdict(list)
        # Every state of every ConfigMap.
        self._sources: defaultdict[Key, list[Document]] = defaultdict(list)
        self.violations: list[str] = []
        cluster.store.subscribe(self._follow)

    def before_write(self, method: str, path: str, body: bytes | None) -> Callable[[], None]:
        """Return a function that checks this write after it was carried out."""
        parts = path.strip("/").split("/")
        document = msgspec.json.decode(body) if body else {}
        namespace, name = (
            parts[parts.index("namespaces") + 1],
            document.get("metadata", {}).get("name", ""),
        )
        if "configmaps" in parts:
            key = (namespace, parts[-1] if method != "POST" else name)
            before = self._cluster.find(CONFIGMAPS, *key)
            return lambda: self._check_configmap(method, key, before, document)
        if "configmapsyncs" in parts:
            key = (namespace, parts[parts.index("configmapsyncs") + 1])
            previous = self._cluster.find(SYNCS, *key)
            return lambda: self._check_sync(method, key, previous)
        return lambda: (
            None
            if "events" in parts
            else self._report(f"{method} {path} is not a write of the reconciler")
        )

    def _check_configmap(
        self, method: str, key: Key, before: Document | None, sent: Document
    ) -> None:
        match method:
            case "POST":
                self._check_content(key, sent)
            case "PUT" if before is not None:
                self._check_content(key, sent)
                self._check_update(key, before, sent)
            case "DELETE" if before is not None:
                self._check_delete(key, before, sent)
            case "PATCH" if before is not None:
                self._check_release(key, before, sent)
            case _:
                self._report(f"{method} {key} was carried out without an object")

    def _check_content(self, key: Key, sent: Document) -> None:
        """Check that content and destination of a copy are ones that its sync once had."""
        specs = self._specs[sent["metadata"]["labels"].get(UID, "")]
        if not any(
            content_of(sent) == chosen(source, sync.spec)
            for sync in specs
            for source in self._sources[sync.source]
        ):
            self._report(
                f"{key} was written with a content that no source ever had: {content_of(sent)}"
            )
        if not any(self._may_select(sync, key) for sync in specs):
            self._report(f"{key} was written, and no sync ever selected it")

    def _may_select(self, sync: Sync, key: Key) -> bool:
        """Return whether a spec could select that destination with any namespace labels."""
        if sync.name != key[1] or key == sync.source:
            return False
        if key[0] in PROTECTED:
            return key[0] in sync.named
        return sync.reaches(key[0], {}) or "destinationNamespaceSelector" in sync.spec

    def _check_update(self, key: Key, before: Document, sent: Document) -> None:
        metadata = sent["metadata"]
        if metadata.get("resourceVersion") != before["metadata"]["resourceVersion"]:
            self._report(f"{key} was updated without the version that was seen")
        adopting = any(
            sync.spec.get("conflictPolicy") == "Adopt"
            for sync in self._specs[metadata["labels"].get(UID, "")]
        )
        reclaimed = released_by(before) == metadata["annotations"].get(SYNCED_BY)
        if (
            not is_copy(before)
            and not reclaimed
            and not (adopting and metadata["annotations"].get(ADOPTED) == "true")
        ):
            self._report(f"{key} is unmanaged and was overwritten")
        for field in ("finalizers", "ownerReferences", "generateName"):
            if metadata.get(field) != before["metadata"].get(field):
                self._report(f"{key} lost its {field}, which belong to other tools")

        for part in ("labels", "annotations"):
            lost = {
                key for key in before["metadata"].get(part) or {} if key.startswith("others")
            } - set(metadata[part])
            if lost:
                self._report(f"{key} lost {lost}, which another tool had set")

    def _check_delete(self, key: Key, before: Document, sent: Document) -> None:
        preconditions = sent.get("preconditions", {})
        if preconditions != {key: before["metadata"][key] for key in ("uid", "resourceVersion")}:
            self._report(f"{key} was deleted without preconditions")
        if not is_copy(before) or is_adopted(before):
            self._report(f"{key} is not a copy that may be deleted, and was deleted")
        if DESTINATION not in before["metadata"].get("annotations", {}):
            self._report(f"{key} has no destination mark, may be a clone, and was deleted")

    def _check_release(self, key: Key, before: Document, sent: Document) -> None:
        metadata = sent.pop("metadata", {})
        if sent or metadata.get("resourceVersion") != before["metadata"]["resourceVersion"]:
            self._report(
                f"{key} was patched beyond its marks, or without the version that was seen"
            )
        touched = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
        owner = synced_by(before)
        restored = {} if owner is None else {RELEASED_BY: f"{'/'.join(owner)} {'/'.join(key)}"}
        replaced, applied = _mark(before, REPLACED), _mark(before, APPLIED)
        if is_adopted(before):
            restored = {key: value for part in replaced.values() for key, value in part.items()}
        for mark, value in touched.items():
            own = mark.startswith(OWN_KEYS) or (
                is_adopted(before) and any(mark in part for part in applied.values())
            )
            if value != restored.get(mark) and not (value is None and own):
                self._report(f"{key} was released with {mark}: {value}")
        if not is_copy(before):
            self._report(f"{key} is unmanaged and was patched")

    def _check_sync(self, method: str, key: Key, before: Document | None) -> None:
        """Check that only the status and the operator's finalizer of a ConfigMapSync change."""
        after = self._cluster.find(SYNCS, *key)
        if method != "PATCH" or before is None:
            self._report(f"{method} on the ConfigMapSync {key}")
        elif after is not None and (after["spec"], _others(after)) != (
            before["spec"],
            _others(before),
        ):
            self._report(
                f"the ConfigMapSync {key} was changed beyond status and finalizer of the operator"
            )

    def _follow(self, event: Event) -> None:
        if event.kind == "DELETED":
            return
        if event.key == SYNCS:
            sync = Sync(event.new.object)
            if not self._specs[sync.uid] or self._specs[sync.uid][-1].spec != sync.spec:
                self._specs[sync.uid].append(sync)
        elif event.key == CONFIGMAPS:
            self._sources[key_of(event.new.object)].append(event.new.object)

    def _report(self, what: str) -> None:
        self.violations.append(what)


def _mark(configmap: Document, name: str) -> Mapping[str, Any]:
    """Return a mark that holds JSON; empty if another tool wrote another text into it."""
    try:
        parsed = msgspec.json.decode(
            (configmap["metadata"].get("annotations") or {}).get(name, "{}")
        )
    except msgspec.DecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _others(sync: Document) -> Any:
    """Return the metadata that does not belong to the operator."""
    metadata: Mapping[str, Any] = sync["metadata"]
    finalizers = [name for name in metadata.get("finalizers", ()) if not name.startswith(PREFIX)]
    return metadata.get("labels"), metadata.get("annotations"), finalizers
