"""What should be, said as simply as possible and without the planner: who wants which copy, how it must look, and what a status must tell.

Everything is read from what the cluster holds when all has settled; only the former specs and contents are remembered as they come by, for
what may still stand from before. `guard.py` watches single writes; this page judges the end.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from tests.randomized.cluster import CONFIGMAPS, NAMESPACES, SYNCS, InMemoryCluster

Document = Mapping[str, Any]
Place = tuple[str, str]  # namespace, name

PREFIX = "apps.nishaf.info/"
MANAGED_BY, UID = "app.kubernetes.io/managed-by", PREFIX + "sync-uid"
SYNCED_BY, DESTINATION, SOURCE = PREFIX + "synced-by", PREFIX + "destination", PREFIX + "source"
POLICY, ADOPTED = PREFIX + "deletion-policy", PREFIX + "adopted"
REPLACED, RELEASED_BY, APPLIED = (
    PREFIX + "replaced",
    PREFIX + "released-by",
    PREFIX + "applied-metadata",
)
FINALIZER = PREFIX + "cleanup"
PROTECTED = {"kube-system", "kube-public", "kube-node-lease"}
ORDER = (
    "InvalidSpec",
    "LoopDetected",
    "DestinationConflict",
    "DestinationContested",
    "NamespaceNotFound",
    "NamespaceTerminating",
    "NamespaceDisabled",
)  # which reason speaks for all where several are equally common
SYNCED = "Synced"


@dataclass(frozen=True)
class Sync:
    """A ConfigMapSync with its defaults."""

    document: Document

    @property
    def spec(self) -> Document:
        return self.document["spec"]

    @property
    def key(self) -> Place:
        return place_of(self.document)

    @property
    def uid(self) -> str:
        return self.document["metadata"]["uid"]

    @property
    def age(self) -> tuple[str, Place]:
        return self.document["metadata"]["creationTimestamp"], self.key

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.document["metadata"]

    @property
    def source(self) -> Place:
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
        """Whether anything is left that it could mean."""
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
        """Whether the spec asks for a copy there."""
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


class World:
    """One cluster, and how it ought to be."""

    def __init__(self, cluster: InMemoryCluster) -> None:
        self._cluster = cluster

    @property
    def syncs(self) -> list[Sync]:
        """All there are."""
        return [Sync(document) for document in self._cluster.all(SYNCS)]

    def sync_at(self, key: Place) -> Sync | None:
        """The sync of that name."""
        found = self._cluster.find(SYNCS, *key)
        return Sync(found) if found else None

    def is_living(self, uid: str) -> bool:
        """Whether there is a sync of that UID."""
        return any(sync.uid == uid for sync in self.syncs)

    def problems(self) -> Iterator[str]:
        """Everything that is not as it should be, now that all has settled."""
        for sync in self.syncs:
            if sync.deleting:
                yield f"{sync.key} is still being deleted"
            else:
                yield from self._problems_of(sync)
        for configmap in self._cluster.all(CONFIGMAPS):
            if is_copy(configmap) and (why := self._unjustified(configmap)):
                yield f"{place_of(configmap)} is a copy that should not be: {why}"

    def _problems_of(self, sync: Sync) -> Iterator[str]:
        outcomes = dict(self.outcomes(sync))
        if self._verdict(sync) is None:
            for namespace, reason in outcomes.items():
                if reason == SYNCED:
                    yield from self._copy_problems(sync, (namespace, sync.name))
        yield from self._status_problems(sync, outcomes)
        stands = FINALIZER in sync.document["metadata"].get("finalizers", ())
        if stands != self._has_copies(sync):
            yield f"{sync.key}: the finalizer {'stands, but no copy' if stands else 'is missing beside copies'}"

    def outcomes(self, sync: Sync) -> Iterator[tuple[str, str]]:
        """How each destination must stand, as far as the source is there and nothing is suspended."""
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
        place = (namespace["metadata"]["name"], sync.name)
        winner = self._granted().get(place)
        if winner is not None and winner.key == sync.key:
            return self._outcome_at(sync, place)
        return (
            "DestinationContested"
            if winner is not None and winner.age < sync.age
            else "LoopDetected"
        )

    def _outcome_at(self, sync: Sync, place: Place) -> str:
        standing, source = (
            self._cluster.find(CONFIGMAPS, *place),
            self._cluster.find(CONFIGMAPS, *sync.source),
        )
        if standing is None:
            return SYNCED
        ours = self.owns(sync, standing)
        if is_copy(standing) and not ours:
            return "DestinationContested"
        taken_back = not is_copy(standing) and released_by(standing) == "/".join(sync.key)
        if not ours and not taken_back and sync.spec.get("conflictPolicy") != "Adopt":
            return "DestinationConflict"
        fixed = (
            bool(standing.get("immutable"))
            and source is not None
            and content_of(standing) != chosen(source, sync.spec)
        )
        not_made_by_us = not (ours or taken_back) or is_adopted(standing)
        never_deleted = (
            sync.spec.get("deletionPolicy") == "Orphan"
            and sync.spec.get("sourceDeletionPolicy", "Retain") == "Retain"
        )
        return "DestinationConflict" if fixed and (not_made_by_us or never_deleted) else SYNCED

    def _granted(self) -> dict[Place, Sync]:
        """Who may write what: from the oldest sync to the youngest, whatever is free and closes no loop."""
        granted: dict[Place, Sync] = {}
        for sync in sorted(self.syncs, key=lambda sync: sync.age):
            if sync.valid and not sync.deleting:
                steps = [place for place in self._steps(sync) if place not in granted]
                granted |= {
                    place: sync for place in steps if not _leads_back(place, sync.source, granted)
                }
        return granted

    def _steps(self, sync: Sync) -> set[Place]:
        """Where a sync would lead, be its source there or not."""
        homes = {
            document["metadata"]["name"]: document for document in self._cluster.all(NAMESPACES)
        }
        closed = {
            name
            for name, home in homes.items()
            if is_disabled(home) or "deletionTimestamp" in home["metadata"]
        }
        asked = (sync.named | set(homes)) - closed
        return {
            (name, sync.name)
            for name in asked
            if sync.reaches(name, labels_of(homes[name]) if name in homes else {})
        }

    def owns(self, sync: Sync, configmap: Document) -> bool:
        """Whether a copy is this sync's, by its marks."""
        if not is_copy(configmap):
            return False
        by_name = synced_by(configmap) == sync.key
        return sync_uid(configmap) == sync.uid or (
            by_name and not self.is_living(sync_uid(configmap))
        )

    def _has_copies(self, sync: Sync) -> bool:
        return any(self.owns(sync, configmap) for configmap in self._cluster.all(CONFIGMAPS))

    def _verdict(self, sync: Sync) -> str | None:
        if not sync.valid:
            return "InvalidSpec"
        if sync.spec.get("suspend"):
            return "Suspended"
        return None if self._cluster.find(CONFIGMAPS, *sync.source) else "SourceNotFound"

    def _copy_problems(self, sync: Sync, place: Place) -> Iterator[str]:
        found = self._cluster.find(CONFIGMAPS, *place)
        source = self._cluster.find(CONFIGMAPS, *sync.source)
        if found is None or source is None:
            yield f"{sync.key}: the copy {place} is missing"
            return
        if content_of(found) != chosen(source, sync.spec):
            yield f"{sync.key}: the copy {place} has other content: {content_of(found)}"
        metadata = found["metadata"]
        labels = {
            **taken_over(source, sync.spec, "labels"),
            **sync.spec.get("metadata", {}).get("labels", {}),
            MANAGED_BY: "configmapsync",
            UID: sync.uid,
        }
        annotations = {
            **taken_over(source, sync.spec, "annotations"),
            **sync.spec.get("metadata", {}).get("annotations", {}),
            SYNCED_BY: "/".join(sync.key),
            SOURCE: "/".join(sync.source),
            DESTINATION: "/".join(place),
            POLICY: sync.spec.get("deletionPolicy", "Delete"),
        }
        if not metadata.get("labels", {}).items() >= labels.items():
            yield f"{sync.key}: the copy {place} has the labels {metadata.get('labels')}, not {labels}"
        if not metadata.get("annotations", {}).items() >= annotations.items():
            yield f"{sync.key}: the copy {place} has the annotations {metadata.get('annotations')}, not {annotations}"

    def _unjustified(self, configmap: Document) -> str | None:
        """Why a copy should not be there; None where it may."""
        namespace, name = place_of(configmap)
        home = self._cluster.find(NAMESPACES, "", namespace)
        owner = synced_by(configmap)
        sync = self.sync_at(owner) if owner else None
        if home is None or "deletionTimestamp" in home["metadata"] or owner is None:
            return None
        if sync is None:
            return None if self.is_living(sync_uid(configmap)) else f"its sync {owner} is not there"
        if not self.owns(sync, configmap) or not sync.valid or sync.spec.get("suspend"):
            return None
        if (
            self._cluster.find(CONFIGMAPS, *sync.source) is None
            and sync.spec.get("sourceDeletionPolicy") == "Delete"
        ):
            return "its source is gone"
        outcomes = dict(self.outcomes(sync))
        if namespace not in outcomes or is_disabled(home):
            return f"{sync.key} does not select its namespace"
        successor_stands = outcomes[namespace] == SYNCED and self._verdict(sync) is None
        return (
            f"{sync.key} calls its copies {sync.name}"
            if name != sync.name and successor_stands
            else None
        )

    def _status_problems(self, sync: Sync, outcomes: Mapping[str, str]) -> Iterator[str]:
        status = sync.document.get("status") or {}
        ready = next(
            (each for each in status.get("conditions") or () if each["type"] == "Ready"), None
        )
        verdict = self._verdict(sync)
        wanted = verdict or spoken_for(outcomes)
        told = (ready["status"], ready["reason"]) if ready else None
        if told != ("True" if wanted in {SYNCED, "Suspended"} else "False", wanted):
            yield f"{sync.key}: Ready is {told}, and it should be {wanted} ({outcomes})"
        if status.get("observedGeneration") != sync.document["metadata"]["generation"]:
            yield f"{sync.key}: the status is of another generation"
        if verdict is None:
            source = self._cluster.find(CONFIGMAPS, *sync.source)
            told_version = (status.get("source") or {}).get("resourceVersion")
            if source is not None and told_version != source["metadata"]["resourceVersion"]:
                yield f"{sync.key}: the status tells of another version of the source"
            synced = sum(reason == SYNCED for reason in outcomes.values())
            counts = {"desired": len(outcomes), "synced": synced, "failed": len(outcomes) - synced}
            if status.get("destinations") != counts:
                yield f"{sync.key}: the status counts {status.get('destinations')}, not {counts}"


def _leads_back(place: Place, source: Place, granted: Mapping[Place, Sync]) -> bool:
    """Whether what was granted leads from `place` to `source`."""
    reached = {place}
    while more := {step for step, sync in granted.items() if sync.source in reached} - reached:
        reached |= more
    return source in reached


def spoken_for(outcomes: Mapping[str, str]) -> str:
    """The one reason that speaks for all destinations."""
    failed = Counter(reason for reason in outcomes.values() if reason != SYNCED)
    return min(failed, key=lambda reason: (-failed[reason], ORDER.index(reason)), default=SYNCED)


def chosen(source: Document, spec: Document) -> tuple[dict[str, str], dict[str, str], bool]:
    """What a copy of `source` must contain: data, binaryData, immutable."""
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
    """Data, binaryData, immutable."""
    return (
        configmap.get("data") or {},
        configmap.get("binaryData") or {},
        bool(configmap.get("immutable")),
    )


def taken_over(source: Document, spec: Document, what: str) -> dict[str, str]:
    """The labels or annotations of the source that every copy must have."""
    patterns = spec.get("copyMetadata", {}).get(what, ())
    present: Mapping[str, str] = source["metadata"].get(what) or {}
    return {
        key: value
        for key, value in present.items()
        if not is_tracking(key) and any(fnmatchcase(key, pattern) for pattern in patterns)
    }


def is_tracking(key: str) -> bool:
    """Whether a key must never be taken over, as far as these histories use such keys."""
    return key.startswith((PREFIX, "argocd.argoproj.io/")) or key in {
        MANAGED_BY,
        "app.kubernetes.io/instance",
    }


def is_copy(configmap: Document) -> bool:
    """Whether its marks say that it is a copy, made for the place where it stands."""
    labels, annotations = labels_of(configmap), configmap["metadata"].get("annotations") or {}
    marked = labels.get(MANAGED_BY) == "configmapsync" and bool(labels.get(UID))
    return marked and annotations.get(DESTINATION, "/".join(place_of(configmap))) == "/".join(
        place_of(configmap)
    )


def sync_uid(configmap: Document) -> str:
    """Which sync its label names."""
    return labels_of(configmap).get(UID, "")


def synced_by(configmap: Document) -> Place | None:
    """Which sync its annotation names."""
    namespace, _, name = (
        (configmap["metadata"].get("annotations") or {}).get(SYNCED_BY, "").partition("/")
    )
    return (namespace, name) if name else None


def released_by(configmap: Document) -> str | None:
    """Which sync has released it, at the place where it stands."""
    sync, _, place = (
        (configmap["metadata"].get("annotations") or {}).get(RELEASED_BY, "").partition(" ")
    )
    return sync if place == "/".join(place_of(configmap)) else None


def is_adopted(configmap: Document) -> bool:
    """Whether it was there before us."""
    return (configmap["metadata"].get("annotations") or {}).get(ADOPTED) == "true"


def is_disabled(namespace: Document) -> bool:
    """Whether it asks to be left alone."""
    return labels_of(namespace).get(PREFIX + "sync") == "disabled"


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects these labels."""
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
    """Its labels."""
    return document["metadata"].get("labels") or {}


def place_of(document: Document) -> Place:
    """Where it stands."""
    return document["metadata"]["namespace"], document["metadata"]["name"]


def is_glob(text: str) -> bool:
    """Whether it is a pattern."""
    return "*" in text or "?" in text
