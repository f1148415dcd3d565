"""Compute the expected state of a cluster as simply as possible, without the planner.

It decides which sync may write which copy, how the copy must look, and what the status
must say. Everything is read from the cluster after convergence. `write_checks.py`
checks single writes; this module checks the end of a run.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.randomized.cluster import CONFIGMAPS, NAMESPACES, SYNCS, InMemoryCluster

Document = Mapping[str, Any]
Key = tuple[str, str]  # namespace, name

PREFIX = "apps.nishaf.info/"
MANAGED_BY, UID = "app.kubernetes.io/managed-by", PREFIX + "sync-uid"
SYNCED_BY, DESTINATION, SOURCE = PREFIX + "synced-by", PREFIX + "destination", PREFIX + "source"
DIGEST = PREFIX + "digest"
POLICY, ADOPTED = PREFIX + "deletion-policy", PREFIX + "adopted"
REPLACED, RELEASED_BY, APPLIED = (
    PREFIX + "replaced",
    PREFIX + "released-by",
    PREFIX + "applied-metadata",
)
FINALIZER = PREFIX + "cleanup"
PROTECTED = {"kube-system", "kube-public", "kube-node-lease"}
# The reason of the sync if several reasons are equally common.
ORDER = (
    "InvalidSpec",
    "LoopDetected",
    "DestinationConflict",
    "DestinationContested",
    "NamespaceNotFound",
    "NamespaceTerminating",
    "NamespaceDisabled",
)
SYNCED = "Synced"


@dataclass(frozen=True)
class Sync:
    """A ConfigMapSync with its defaults."""

    document: Document

    @property
    def spec(self) -> Document:
        return self.document["spec"]

    @property
    def key(self) -> Key:
        return key_of(self.document)

    @property
    def uid(self) -> str:
        return self.document["metadata"]["uid"]

    @property
    def age(self) -> tuple[str, Key]:
        return self.document["metadata"]["creationTimestamp"], self.key

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.document["metadata"]

    @property
    def source(self) -> Key:
        return self.spec.get("sourceNamespace") or self.key[0], self.spec["configMapName"]

    @property
    def name(self) -> str:
        return self.spec.get("destinationConfigMapName") or self.spec["configMapName"]

    @property
    def named(self) -> set[str]:
        short = (
            {self.spec["destinationNamespace"]} if self.spec.get("destinationNamespace") else set()
        )
        return short | {
            name for name in self.spec.get("destinationNamespaces", ()) if not is_glob(name)
        }

    @property
    def valid(self) -> bool:
        """Return whether the spec can select any namespace."""
        asked = [
            *self.spec.get("destinationNamespaces", ()),
            self.spec.get("destinationNamespace") or "",
        ]
        open_ended = "destinationNamespaceSelector" in self.spec or any(map(is_glob, asked))
        return open_ended or not all(map(self.excludes, self.named))

    def excludes(self, namespace: str) -> bool:
        return any(
            fnmatchcase(namespace, pattern) for pattern in self.spec.get("excludedNamespaces", ())
        )

    def reaches(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Return whether the spec selects a copy there."""
        if self.excludes(namespace) or (namespace, self.name) == self.source:
            return False
        if namespace in self.named:
            return True
        if namespace in PROTECTED:
            return False
        globs = self.spec.get("destinationNamespaces", ())
        selector = self.spec.get("destinationNamespaceSelector")
        return any(fnmatchcase(namespace, glob) for glob in globs) or (
            selector is not None and selects(selector, labels)
        )


class ExpectedState:
    """The expected state of a cluster."""

    def __init__(self, cluster: InMemoryCluster) -> None:
        self._cluster = cluster

    @property
    def syncs(self) -> list[Sync]:
        """Return all syncs."""
        return [Sync(document) for document in self._cluster.all(SYNCS)]

    def sync_at(self, key: Key) -> Sync | None:
        """Return the sync of that name."""
        found = self._cluster.find(SYNCS, *key)
        return Sync(found) if found else None

    def exists(self, uid: str) -> bool:
        """Return whether there is a sync with that UID."""
        return any(sync.uid == uid for sync in self.syncs)

    def problems(self) -> Iterator[str]:
        """Yield every difference from the expected state."""
        for sync in self.syncs:
            if sync.deleting:
                yield f"{sync.key} is still being deleted"
            else:
                yield from self._problems_of(sync)
        for configmap in self._cluster.all(CONFIGMAPS):
            if is_copy(configmap) and (why := self._why_unexpected(configmap)):
                yield f"{key_of(configmap)} is an unexpected copy: {why}"

    def _problems_of(self, sync: Sync) -> Iterator[str]:
        outcomes = dict(self.outcomes(sync))
        if self._sync_reason(sync) is None:
            for namespace, reason in outcomes.items():
                if reason == SYNCED:
                    yield from self._copy_problems(sync, (namespace, sync.name))
        yield from self._status_problems(sync, outcomes)
        has_finalizer = FINALIZER in sync.document["metadata"].get("finalizers", ())
        if self._has_copies(sync) and not has_finalizer:
            yield f"{sync.key}: has copies and no finalizer"

    def outcomes(self, sync: Sync) -> Iterator[tuple[str, str]]:
        """Yield the expected reason of each destination.

        It assumes that the source exists and the sync is not suspended.
        """
        namespaces = {
            document["metadata"]["name"]: document for document in self._cluster.all(NAMESPACES)
        }
        for name in sorted(sync.named | set(namespaces)):
            if sync.excludes(name):
                continue
            if (name, sync.name) == sync.source:
                if name in sync.named:
                    yield name, "InvalidSpec"
            elif name not in namespaces:
                yield name, "NamespaceNotFound"
            elif sync.reaches(name, labels_of(namespaces[name])):
                reason = self._outcome_in(sync, namespaces[name])
                if name in sync.named or reason not in {
                    "NamespaceTerminating",
                    "NamespaceDisabled",
                }:
                    yield name, reason

    def _outcome_in(self, sync: Sync, namespace: Document) -> str:
        if "deletionTimestamp" in namespace["metadata"]:
            return "NamespaceTerminating"
        if is_disabled(namespace):
            return "NamespaceDisabled"
        key = (namespace["metadata"]["name"], sync.name)
        winner = self._claims().get(key)
        if winner is not None and winner.key == sync.key:
            return self._outcome_at(sync, key)
        return (
            "DestinationContested"
            if winner is not None and winner.age < sync.age
            else "LoopDetected"
        )

    def _outcome_at(self, sync: Sync, key: Key) -> str:
        existing, source = (
            self._cluster.find(CONFIGMAPS, *key),
            self._cluster.find(CONFIGMAPS, *sync.source),
        )
        if existing is None:
            return SYNCED
        own = self.owns(sync, existing) or self._yields(existing)
        if is_copy(existing) and not own:
            return "DestinationContested"
        reclaimed = not is_copy(existing) and released_by(existing) == "/".join(sync.key)
        if not own and not reclaimed and sync.spec.get("conflictPolicy") != "Adopt":
            return "DestinationConflict"
        fixed = (
            bool(existing.get("immutable"))
            and source is not None
            and content_of(existing) != chosen(source, sync.spec)
        )
        not_created = not (own or reclaimed) or is_adopted(existing)
        never_deleted = (
            sync.spec.get("deletionPolicy") == "Orphan"
            and sync.spec.get("sourceDeletionPolicy", "Retain") == "Retain"
        )
        return "DestinationConflict" if fixed and (not_created or never_deleted) else SYNCED

    def _yields(self, configmap: Document) -> bool:
        """Return whether a copy belongs to a sync that may not keep it, as another one won it.

        The winner takes it over; if it cannot, the conflict names the cure. A sync without valid
        claims keeps its copies until it is gone.
        """
        return is_copy(configmap) and any(
            sync.uid == sync_uid(configmap) and sync.valid and not sync.deleting
            for sync in self.syncs
        )

    def _claims(self) -> dict[Key, Sync]:
        """Return the sync that may write each destination.

        The syncs claim in the order of their age; a claim that closes a loop is refused.
        """
        claims: dict[Key, Sync] = {}
        for sync in sorted(self.syncs, key=lambda sync: sync.age):
            if sync.valid and not sync.deleting:
                destinations = [key for key in self._destinations(sync) if key not in claims]
                claims |= {
                    key: sync for key in destinations if not _leads_back(key, sync.source, claims)
                }
        return claims

    def _destinations(self, sync: Sync) -> set[Key]:
        """Return the destinations of a sync, whether its source exists or not."""
        namespaces = {
            document["metadata"]["name"]: document for document in self._cluster.all(NAMESPACES)
        }
        closed = {
            name
            for name, namespace in namespaces.items()
            if is_disabled(namespace) or "deletionTimestamp" in namespace["metadata"]
        }
        asked = (sync.named | set(namespaces)) - closed
        return {
            (name, sync.name)
            for name in asked
            if sync.reaches(name, labels_of(namespaces[name]) if name in namespaces else {})
        }

    def owns(self, sync: Sync, configmap: Document) -> bool:
        """Return whether a copy belongs to this sync, by its marks."""
        if not is_copy(configmap):
            return False
        by_name = synced_by(configmap) == sync.key
        return sync_uid(configmap) == sync.uid or (by_name and not self.exists(sync_uid(configmap)))

    def _has_copies(self, sync: Sync) -> bool:
        return any(self.owns(sync, configmap) for configmap in self._cluster.all(CONFIGMAPS))

    def _sync_reason(self, sync: Sync) -> str | None:
        if not sync.valid:
            return "InvalidSpec"
        if sync.spec.get("suspend"):
            return "Suspended"
        return None if self._cluster.find(CONFIGMAPS, *sync.source) else "SourceNotFound"

    def _copy_problems(self, sync: Sync, key: Key) -> Iterator[str]:
        found = self._cluster.find(CONFIGMAPS, *key)
        source = self._cluster.find(CONFIGMAPS, *sync.source)
        if found is None or source is None:
            yield f"{sync.key}: the copy {key} is missing"
            return
        if content_of(found) != chosen(source, sync.spec):
            yield f"{sync.key}: the copy {key} has other content: {content_of(found)}"
        metadata = found["metadata"]
        labels = {
            **copied_metadata(source, sync.spec, "labels"),
            **sync.spec.get("metadata", {}).get("labels", {}),
            MANAGED_BY: "configmapsync",
            UID: sync.uid,
        }
        annotations = {
            **copied_metadata(source, sync.spec, "annotations"),
            **sync.spec.get("metadata", {}).get("annotations", {}),
            SYNCED_BY: "/".join(sync.key),
            SOURCE: "/".join(sync.source),
            DESTINATION: "/".join(key),
            POLICY: sync.spec.get("deletionPolicy", "Delete"),
        }
        if not metadata.get("labels", {}).items() >= labels.items():
            found_labels = metadata.get("labels")
            yield f"{sync.key}: the copy {key} has the labels {found_labels}, not {labels}"
        if not metadata.get("annotations", {}).items() >= annotations.items():
            found_annotations = metadata.get("annotations")
            yield (
                f"{sync.key}: the copy {key} has the annotations {found_annotations}, "
                f"not {annotations}"
            )

    def _why_unexpected(self, configmap: Document) -> str | None:
        """Return why a copy should not exist; None if it may."""
        namespace, name = key_of(configmap)
        namespace_object = self._cluster.find(NAMESPACES, "", namespace)
        owner = synced_by(configmap)
        sync = self.sync_at(owner) if owner else None
        if (
            namespace_object is None
            or "deletionTimestamp" in namespace_object["metadata"]
            or owner is None
        ):
            return None
        if sync is None:
            return None if self.exists(sync_uid(configmap)) else f"its sync {owner} does not exist"
        if not self.owns(sync, configmap) or not sync.valid or sync.spec.get("suspend"):
            return None
        if (
            self._cluster.find(CONFIGMAPS, *sync.source) is None
            and sync.spec.get("sourceDeletionPolicy") == "Delete"
        ):
            return "its source is gone"
        outcomes = dict(self.outcomes(sync))
        if namespace not in outcomes or is_disabled(namespace_object):
            return f"{sync.key} does not select its namespace"
        renamed_copy_exists = outcomes[namespace] == SYNCED and self._sync_reason(sync) is None
        return (
            f"{sync.key} names its copies {sync.name}"
            if name != sync.name and renamed_copy_exists
            else None
        )

    def _status_problems(self, sync: Sync, outcomes: Mapping[str, str]) -> Iterator[str]:
        status = sync.document.get("status") or {}
        ready = next(
            (each for each in status.get("conditions") or () if each["type"] == "Ready"), None
        )
        sync_reason = self._sync_reason(sync)
        wanted = sync_reason or dominant_reason(outcomes)
        actual = (ready["status"], ready["reason"]) if ready else None
        if actual != ("True" if wanted in {SYNCED, "Suspended"} else "False", wanted):
            yield f"{sync.key}: Ready is {actual}, and it should be {wanted} ({outcomes})"
        if status.get("observedGeneration") != sync.document["metadata"]["generation"]:
            yield f"{sync.key}: the status is of another generation"
        if sync_reason is None:
            # The version in the status stays if an edit of the source changed nothing that is
            # copied, so that only the digest is certain.
            digest = (status.get("source") or {}).get("digest")
            for namespace, reason in outcomes.items():
                copy = self._cluster.find(CONFIGMAPS, namespace, sync.name)
                annotations = copy["metadata"].get("annotations", {}) if copy else {}
                if reason == SYNCED and copy and digest != annotations.get(DIGEST):
                    yield f"{sync.key}: the status has another digest than the copy in {namespace}"
            synced = sum(reason == SYNCED for reason in outcomes.values())
            counts = {"desired": len(outcomes), "synced": synced, "failed": len(outcomes) - synced}
            if status.get("destinations") != counts:
                yield f"{sync.key}: the status counts {status.get('destinations')}, not {counts}"


def _leads_back(key: Key, source: Key, claims: Mapping[Key, Sync]) -> bool:
    """Return whether the claims lead from `key` to `source`."""
    reached = {key}
    while more := {step for step, sync in claims.items() if sync.source in reached} - reached:
        reached |= more
    return source in reached


def dominant_reason(outcomes: Mapping[str, str]) -> str:
    """Return the one reason that represents all destinations."""
    failed = Counter(reason for reason in outcomes.values() if reason != SYNCED)
    return min(failed, key=lambda reason: (-failed[reason], ORDER.index(reason)), default=SYNCED)


def chosen(source: Document, spec: Document) -> tuple[dict[str, str], dict[str, str], bool]:
    """Return the expected content of a copy: data, binaryData, immutable."""
    data, binary, immutable = content_of(source)
    keys = spec.get("keys") or [{"key": "*"}]
    names = {
        key: key
        for key in (*data, *binary)
        if any(is_glob(choice["key"]) and fnmatchcase(key, choice["key"]) for choice in keys)
    }
    names |= {
        choice.get("as") or choice["key"]: choice["key"]
        for choice in keys
        if not is_glob(choice["key"])
    }
    return (
        {new: data[old] for new, old in names.items() if old in data},
        {new: binary[old] for new, old in names.items() if old in binary},
        immutable,
    )


def content_of(configmap: Document) -> tuple[dict[str, str], dict[str, str], bool]:
    """Return data, binaryData, immutable."""
    return (
        configmap.get("data") or {},
        configmap.get("binaryData") or {},
        bool(configmap.get("immutable")),
    )


def copied_metadata(source: Document, spec: Document, what: str) -> dict[str, str]:
    """Return the labels or annotations of the source that every copy must have."""
    patterns = spec.get("copyMetadata", {}).get(what, ())
    present: Mapping[str, str] = source["metadata"].get(what) or {}
    return {
        key: value
        for key, value in present.items()
        if not is_tracking(key) and any(fnmatchcase(key, pattern) for pattern in patterns)
    }


def is_tracking(key: str) -> bool:
    """Return whether a key must never be copied, among the keys of these runs."""
    return key.startswith((PREFIX, "argocd.argoproj.io/")) or key in {
        MANAGED_BY,
        "app.kubernetes.io/instance",
    }


def is_copy(configmap: Document) -> bool:
    """Return whether the marks say that this is a copy for this destination."""
    labels, annotations = labels_of(configmap), configmap["metadata"].get("annotations") or {}
    marked = labels.get(MANAGED_BY) == "configmapsync" and bool(labels.get(UID))
    return marked and annotations.get(DESTINATION, "/".join(key_of(configmap))) == "/".join(
        key_of(configmap)
    )


def sync_uid(configmap: Document) -> str:
    """Return the UID that the label names."""
    return labels_of(configmap).get(UID, "")


def synced_by(configmap: Document) -> Key | None:
    """Return the sync that the annotation names."""
    namespace, _, name = (
        (configmap["metadata"].get("annotations") or {}).get(SYNCED_BY, "").partition("/")
    )
    return (namespace, name) if name else None


def released_by(configmap: Document) -> str | None:
    """Return the sync that released the ConfigMap at its present key."""
    sync, _, key = (
        (configmap["metadata"].get("annotations") or {}).get(RELEASED_BY, "").partition(" ")
    )
    return sync if key == "/".join(key_of(configmap)) else None


def is_adopted(configmap: Document) -> bool:
    """Return whether the ConfigMap existed before the sync."""
    return (configmap["metadata"].get("annotations") or {}).get(ADOPTED) == "true"


def is_disabled(namespace: Document) -> bool:
    """Return whether the namespace opts out."""
    return labels_of(namespace).get(PREFIX + "sync") == "disabled"


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Return whether a label selector selects these labels."""
    holds = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _: key in labels,
        "DoesNotExist": lambda key, _: key not in labels,
    }
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        holds[each["operator"]](each["key"], each.get("values", ()))
        for each in selector.get("matchExpressions", ())
    )


def labels_of(document: Document) -> Mapping[str, str]:
    """Return the labels of an object."""
    return document["metadata"].get("labels") or {}


def key_of(document: Document) -> Key:
    """Return the namespace and name of an object."""
    return document["metadata"]["namespace"], document["metadata"]["name"]


def is_glob(text: str) -> bool:
    """Return whether a name is a pattern."""
    return "*" in text or "?" in text
