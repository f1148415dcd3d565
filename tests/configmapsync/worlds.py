"""Make small random clusters for the planner, and carry plans out on them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

from hypothesis import strategies as st

from configmapsync.content import Content, SourceObject, digest
from configmapsync.copies import CopyRecord
from configmapsync.defaulting import with_defaults
from configmapsync.names import (
    ADOPTED,
    DESTINATION,
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    SYNC_UID_LABEL,
    SYNCED_BY,
    NamespacedName,
)
from configmapsync.parsing import parse
from configmapsync.plans import Observed, Plan, Verb, Write
from configmapsync.rendering import release_patch, render
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from tests.configmapsync.objects import observe

NAMESPACES = ("a", "b", "team-a", "team-b", "kube-system", "home")
NAMES = ("config", "other")
SYNC = "home/sync"
ITS_OWN = "wherever it stands"
PROTECTED = frozenset({"kube-system"})
CREATED = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class World:
    """Everything that a plan can depend on."""

    sync: ConfigMapSync
    source: SourceObject | None
    configmaps: dict[NamespacedName, CopyRecord]  # with and without marks
    namespaces: dict[str, Namespace]
    living: frozenset[str]

    def observe(self) -> Observed:
        """Return what the reconciler observes if it knows all blockers."""
        marked = {key: record for key, record in self.configmaps.items() if record.managed}
        return observe(
            sync=self.sync,
            selector=Selector.of(self.sync, PROTECTED),
            source=self.source,
            copies=tuple(
                record
                for record in marked.values()
                if record.sync_uid == self.sync.metadata.uid or record.synced_by == self.sync.key
            ),
            copy_at=marked.get,
            namespaces=self.namespaces,
            is_living=self.living.__contains__,
            blocker_at=lambda key: None if key in marked else self.configmaps.get(key),
        )

    def carry_out(self, plan: Plan) -> "World":
        """Return the cluster after all writes and removals of a plan succeeded."""
        after = dict(self.configmaps)
        for write in (*plan.writes, *plan.removals):
            _carry_out(after, write)
        return replace(self, configmaps=after)


def _carry_out(configmaps: dict[NamespacedName, CopyRecord], write: Write) -> None:
    match write.verb:
        case Verb.DELETE:
            del configmaps[write.key]
        case Verb.RELEASE:
            configmaps[write.key] = patched(
                configmaps[write.key], release_patch(configmaps[write.key])
            )
        case _:
            configmaps[write.key] = _written(write)


def patched(record: CopyRecord, patch: Mapping[str, Any]) -> CopyRecord:
    """Return a record after a merge patch of its metadata."""

    def merged(part: str, before: Mapping[str, str]) -> dict[str, str]:
        return {
            key: value
            for key, value in {**before, **patch["metadata"][part]}.items()
            if value is not None
        }

    return replace(
        record,
        labels=merged("labels", record.labels),
        annotations=merged("annotations", record.annotations),
    )


def _written(write: Write) -> CopyRecord:
    assert write.template is not None
    recreated = write.verb is Verb.RECREATE
    metadata = render(
        write.template,
        write.key.namespace,
        write.record,
        adopted=write.verb is Verb.ADOPT,
        recreated=recreated,
    )["metadata"]
    return CopyRecord(
        namespace=write.key.namespace,
        name=write.key.name,
        uid=write.record.uid if write.record and not recreated else "new",
        resource_version="9",
        digest=write.template.digest,
        labels=dict(metadata["labels"]),
        annotations=dict(metadata["annotations"]),
        immutable=write.template.content.immutable,
        deleting=False,
        others={},
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a cluster with one sync, perhaps a source, and ConfigMaps of all kinds."""
    sync = draw(syncs())
    source = draw(st.none() | sources(sync))
    living = frozenset({sync.metadata.uid, "uid-of-another"})
    places = st.builds(NamespacedName, st.sampled_from(NAMESPACES), st.sampled_from(NAMES))
    configmaps = {
        key: draw(records(key)) for key in draw(st.sets(places, max_size=8)) if key != sync.source
    }
    namespaces = {
        name: draw(namespaces_called(name))
        for name in draw(st.sets(st.sampled_from(NAMESPACES), min_size=1))
    }
    return World(sync, source, configmaps, namespaces, living)


@st.composite
def syncs(draw: st.DrawFn) -> ConfigMapSync:
    """Draw a valid sync."""
    spec = {
        "sourceNamespace": "home",
        "configMapName": "config",
        "destinationNamespaces": draw(
            st.lists(
                st.sampled_from((*NAMESPACES[:5], "team-*", "*", "gone")), min_size=1, max_size=3
            )
        ),
        "excludedNamespaces": draw(st.lists(st.sampled_from(("b", "team-?")), max_size=1)),
        "destinationConfigMapName": draw(st.sampled_from(NAMES)),
        "conflictPolicy": draw(st.sampled_from(("Fail", "Adopt"))),
        "deletionPolicy": draw(st.sampled_from(("Delete", "Orphan"))),
        "sourceDeletionPolicy": draw(st.sampled_from(("Retain", "Delete"))),
        "suspend": draw(st.sampled_from((False, False, False, True))),
        "metadata": {"labels": draw(st.sampled_from(({}, {"team": "web"}))), "annotations": {}},
    }
    metadata: dict[str, object] = {
        "name": "sync",
        "namespace": "home",
        "uid": "uid-of-this",
        "creationTimestamp": CREATED.isoformat(),
    }
    if draw(st.sampled_from((False, False, True))):
        metadata["deletionTimestamp"] = CREATED.isoformat()
    return with_defaults(
        parse(
            {
                "apiVersion": "apps.nishaf.info/v1",
                "kind": "ConfigMapSync",
                "metadata": metadata,
                "spec": spec,
            }
        )
    )


def sources(sync: ConfigMapSync) -> st.SearchStrategy[SourceObject]:
    """Draw a source with one of two contents."""
    contents = st.builds(
        Content,
        data=st.sampled_from(({"k": "1"}, {"k": "2"}, {})),
        binary_data=st.just({}),
        immutable=st.booleans(),
    )
    return st.builds(
        SourceObject,
        key=st.just(sync.source),
        resource_version=st.just("5"),
        content=contents,
        labels=st.just({"from": "source"}),
        annotations=st.just({}),
    )


def records(key: NamespacedName) -> st.SearchStrategy[CopyRecord]:
    """Draw a ConfigMap in one of its forms; one draw, because a cluster has many of them."""
    return st.sampled_from(FORMS).map(lambda form: _placed(form, key))


def _placed(form: CopyRecord, key: NamespacedName) -> CopyRecord:
    annotations = dict(form.annotations)
    if annotations.get(DESTINATION) == ITS_OWN:
        annotations[DESTINATION] = str(key)
    return replace(
        form, namespace=key.namespace, name=key.name, uid=f"uid-of-{key}", annotations=annotations
    )


def _forms() -> Iterator[CopyRecord]:
    """Return unmanaged ConfigMaps, copies of several syncs, and copies with missing marks."""
    uids = ("uid-of-this", "uid-of-another", "uid-of-nobody")
    owners = (SYNC, "elsewhere/another", None)
    states = list(product(("1", "x"), (False, True), (False, False, False, True)))
    for value, immutable, deleting in states:
        yield _form({"app": "theirs"}, {}, value, immutable, deleting)
    places = (ITS_OWN, ITS_OWN, "b/elsewhere", None)
    for uid, owner, place, adopted, (value, immutable, deleting) in product(
        uids, owners, places, (False, True), states
    ):
        labels = {MANAGED_BY_LABEL: MANAGED_BY_VALUE, SYNC_UID_LABEL: uid}
        annotations = ({SYNCED_BY: owner} if owner else {}) | ({ADOPTED: "true"} if adopted else {})
        annotations |= {DESTINATION: place} if place else {}
        yield _form(labels, annotations, value, immutable, deleting)


def _form(
    labels: dict[str, str], annotations: dict[str, str], value: str, immutable: bool, deleting: bool
) -> CopyRecord:
    content = Content(data={"k": value}, binary_data={}, immutable=immutable)
    return CopyRecord(
        namespace="",
        name="",
        uid="",
        resource_version="7",
        digest=digest(content),
        labels=labels,
        annotations=annotations,
        immutable=immutable,
        deleting=deleting,
        others={},
    )


FORMS = tuple(_forms())


def namespaces_called(name: str) -> st.SearchStrategy[Namespace]:
    """Draw a namespace in one of its states."""
    labels = ({}, {}, {"apps.nishaf.info/sync": "disabled"})
    return st.sampled_from(
        [
            Namespace(name=name, labels=label, terminating=terminating, uid=name)
            for label, terminating in product(labels, (False, False, False, True))
        ]
    )
