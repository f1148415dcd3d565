"""What no write of the reconciler may ever do, judged at the moment in which the API server takes it.

The door asks before a write and tells when it was carried out. Nothing is raised here, for the reconciler would take it for an error of the
API server: violations are collected, and the machine looks at them after every step.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from devcluster.storage.store import Event
from tests.randomized.cluster import CONFIGMAPS, SYNCS, InMemoryCluster
from tests.randomized.world import (
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
    Place,
    Sync,
    chosen,
    content_of,
    is_adopted,
    is_copy,
    place_of,
    released_by,
    synced_by,
)

OURS = (PREFIX, "app.kubernetes.io/managed-by")


class Guard:
    """Remembers what was ever asked for, and judges every write by it."""

    def __init__(self, cluster: InMemoryCluster) -> None:
        self._cluster = cluster
        self._asked: defaultdict[str, list[Sync]] = defaultdict(
            list
        )  # by UID, every spec there was
        self._sources: defaultdict[Place, list[Document]] = defaultdict(
            list
        )  # every state of every ConfigMap
        self.violations: list[str] = []
        cluster.store.subscribe(self._follow)

    def look(self, method: str, path: str, body: bytes | None) -> Callable[[], None]:
        """Called before a write; what it returns is called when that was carried out."""
        parts = path.strip("/").split("/")
        document = msgspec.json.decode(body) if body else {}
        namespace, name = (
            parts[parts.index("namespaces") + 1],
            document.get("metadata", {}).get("name", ""),
        )
        if "configmaps" in parts:
            place = (namespace, parts[-1] if method != "POST" else name)
            before = self._cluster.find(CONFIGMAPS, *place)
            return lambda: self._judge(method, place, before, document)
        if "configmapsyncs" in parts:
            key = (namespace, parts[parts.index("configmapsyncs") + 1])
            previous = self._cluster.find(SYNCS, *key)
            return lambda: self._judge_sync(method, key, previous)
        return lambda: (
            None
            if "events" in parts
            else self._complain(f"{method} {path} is none of our business")
        )

    def _judge(self, method: str, place: Place, before: Document | None, sent: Document) -> None:
        match method:
            case "POST":
                self._judge_content(place, sent)
            case "PUT" if before is not None:
                self._judge_content(place, sent)
                self._judge_update(place, before, sent)
            case "DELETE" if before is not None:
                self._judge_delete(place, before, sent)
            case "PATCH" if before is not None:
                self._judge_release(place, before, sent)
            case _:
                self._complain(f"{method} {place} was carried out on nothing")

    def _judge_content(self, place: Place, sent: Document) -> None:
        """A copy holds what a source of its sync held once, chosen as its sync once asked, and stands where that once asked for it."""
        specs = self._asked[sent["metadata"]["labels"].get(UID, "")]
        if not any(
            content_of(sent) == chosen(source, sync.spec)
            for sync in specs
            for source in self._sources[sync.source]
        ):
            self._complain(
                f"{place} was written with a content that no source ever had: {content_of(sent)}"
            )
        if not any(self._may_reach(sync, place) for sync in specs):
            self._complain(f"{place} was written, and no sync ever asked for it")

    def _may_reach(self, sync: Sync, place: Place) -> bool:
        """Whether a spec could have asked for that place, by whatever labels its namespace had."""
        if sync.name != place[1] or place == sync.source:
            return False
        if place[0] in PROTECTED:
            return place[0] in sync.named
        return sync.reaches(place[0], {}) or "destinationNamespaceSelector" in sync.spec

    def _judge_update(self, place: Place, before: Document, sent: Document) -> None:
        metadata = sent["metadata"]
        if metadata.get("resourceVersion") != before["metadata"]["resourceVersion"]:
            self._complain(f"{place} was updated without the version that was seen")
        adopting = any(
            sync.spec.get("conflictPolicy") == "Adopt"
            for sync in self._asked[metadata["labels"].get(UID, "")]
        )
        taken_back = released_by(before) == metadata["annotations"].get(SYNCED_BY)
        if (
            not is_copy(before)
            and not taken_back
            and not (adopting and metadata["annotations"].get(ADOPTED) == "true")
        ):
            self._complain(f"{place} is foreign and was overwritten")
        for field in ("finalizers", "ownerReferences", "generateName"):
            if metadata.get(field) != before["metadata"].get(field):
                self._complain(f"{place} lost its {field}, which belong to others")

        for part in ("labels", "annotations"):
            lost = {
                key for key in before["metadata"].get(part) or {} if key.startswith("others")
            } - set(metadata[part])
            if lost:
                self._complain(f"{place} lost {lost}, which somebody else had put on it")

    def _judge_delete(self, place: Place, before: Document, sent: Document) -> None:
        preconditions = sent.get("preconditions", {})
        if preconditions != {key: before["metadata"][key] for key in ("uid", "resourceVersion")}:
            self._complain(f"{place} was deleted without preconditions")
        if not is_copy(before) or is_adopted(before):
            self._complain(f"{place} is not ours to delete, and was deleted")
        if DESTINATION not in before["metadata"].get("annotations", {}):
            self._complain(f"{place} does not name its own place, may be a clone, and was deleted")

    def _judge_release(self, place: Place, before: Document, sent: Document) -> None:
        metadata = sent.pop("metadata", {})
        if sent or metadata.get("resourceVersion") != before["metadata"]["resourceVersion"]:
            self._complain(
                f"{place} was patched beyond its marks, or without the version that was seen"
            )
        touched = {**(metadata.get("labels") or {}), **(metadata.get("annotations") or {})}
        owner = synced_by(before)
        remembered = {} if owner is None else {RELEASED_BY: f"{'/'.join(owner)} {'/'.join(place)}"}
        replaced, applied = _mark(before, REPLACED), _mark(before, APPLIED)
        if is_adopted(before):
            remembered = {key: value for part in replaced.values() for key, value in part.items()}
        for key, value in touched.items():
            ours = key.startswith(OURS) or (
                is_adopted(before) and any(key in part for part in applied.values())
            )
            if value != remembered.get(key) and not (value is None and ours):
                self._complain(f"{place} was released with {key}: {value}")
        if not is_copy(before):
            self._complain(f"{place} is foreign and was patched")

    def _judge_sync(self, method: str, key: Place, before: Document | None) -> None:
        """Of a ConfigMapSync, only the status and our finalizer are ours to write."""
        after = self._cluster.find(SYNCS, *key)
        if method != "PATCH" or before is None:
            self._complain(f"{method} on the ConfigMapSync {key}")
        elif after is not None and (after["spec"], _others(after)) != (
            before["spec"],
            _others(before),
        ):
            self._complain(
                f"the ConfigMapSync {key} was changed beyond its status and our finalizer"
            )

    def _follow(self, event: Event) -> None:
        if event.kind == "DELETED":
            return
        if event.key == SYNCS:
            sync = Sync(event.new.object)
            if not self._asked[sync.uid] or self._asked[sync.uid][-1].spec != sync.spec:
                self._asked[sync.uid].append(sync)
        elif event.key == CONFIGMAPS:
            self._sources[place_of(event.new.object)].append(event.new.object)

    def _complain(self, what: str) -> None:
        self.violations.append(what)


def _mark(configmap: Document, name: str) -> Mapping[str, Any]:
    """A mark that holds JSON; empty where somebody wrote something else into it."""
    try:
        parsed = msgspec.json.decode(
            (configmap["metadata"].get("annotations") or {}).get(name, "{}")
        )
    except msgspec.DecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _others(sync: Document) -> Any:
    """What of the metadata is somebody else's."""
    metadata: Mapping[str, Any] = sync["metadata"]
    finalizers = [name for name in metadata.get("finalizers", ()) if not name.startswith(PREFIX)]
    return metadata.get("labels"), metadata.get("annotations"), finalizers
