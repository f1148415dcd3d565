"""Finalize deleted namespaces: delete their contents, report what remains."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from devcluster.controllers.actor import Actor
from devcluster.schema.kinds import Kind
from devcluster.storage.store import Event, Object, Revision

NAMESPACES = ("", "namespaces")
FINALIZER = "kubernetes"

Content = list[tuple[Kind, Revision]]


class Namespaces:
    """Works on names of namespaces."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._terminating: set[str] = set()

    def begin(self) -> Iterable[str]:
        """Every namespace that was on its way out when the server stopped."""
        for revision in self._actor.store.items(NAMESPACES):
            if revision.object["metadata"].get("deletionTimestamp"):
                self._terminating.add(revision.place[1])
        return list(self._terminating)

    def wakes(self, event: Event) -> Iterable[str]:
        """A namespace was deleted, or something changed in one that is on its way out."""
        namespace, name = event.new.place
        if event.key != NAMESPACES:
            return [namespace] if namespace in self._terminating else []
        if event.kind == "DELETED":
            self._terminating.discard(name)
            return []
        if not event.new.object["metadata"].get("deletionTimestamp"):
            return []
        self._terminating.add(name)
        return [name]

    async def settle(self, item: object) -> None:
        """Delete what is left; remove the finalizer when nothing is."""
        name = str(item)
        for kind, revision in self._content(name):
            if not revision.object["metadata"].get("deletionTimestamp"):
                await self._actor.delete(kind, revision.object)
        home, own_kind = (
            self._actor.store.get(NAMESPACES, "", name),
            self._actor.catalog.by_key(NAMESPACES),
        )
        if home is None or own_kind is None or not home.object["metadata"].get("deletionTimestamp"):
            return
        remaining = self._content(name)
        await self._report(own_kind, home.object, remaining)
        current = self._actor.store.get(NAMESPACES, "", name)
        if current is None or remaining:
            return
        spec = current.object.get("spec") or {}
        if FINALIZER in spec.get("finalizers", []):
            kept = [finalizer for finalizer in spec["finalizers"] if finalizer != FINALIZER]
            empty = {**current.object, "spec": {"finalizers": kept}}
            await self._actor.update(own_kind, current.object, empty, "finalize")

    def _content(self, namespace: str) -> Content:
        keys = sorted(self._actor.store.keys())
        return [
            found
            for key in keys
            if key != NAMESPACES
            for found in self._actor.served(key, namespace)
        ]

    async def _report(self, kind: Kind, home: Object, remaining: Content) -> None:
        status = home.get("status") or {}
        before = {condition["type"]: condition for condition in status.get("conditions") or ()}
        now = self._actor.registry.timestamp
        conditions = [_condition(before, now, *values) for values in _judgements(remaining)]
        others = [
            condition
            for name, condition in before.items()
            if name not in {one["type"] for one in conditions}
        ]
        new = {
            **home,
            "status": {**status, "phase": "Terminating", "conditions": [*others, *conditions]},
        }
        if new["status"] != status:
            await self._actor.update(kind, home, new, "status")


def _judgements(remaining: Content) -> Iterable[tuple[str, bool, str, str]]:
    """Yield type, status, reason and message of each condition, in the words of the real server."""
    yield (
        "NamespaceDeletionDiscoveryFailure",
        False,
        "ResourcesDiscovered",
        "All resources successfully discovered",
    )
    message = "All legacy kube types successfully parsed"
    yield "NamespaceDeletionGroupVersionParsingFailure", False, "ParsedGroupVersions", message
    message = "All content successfully deleted, may be waiting on finalization"
    yield "NamespaceDeletionContentFailure", False, "ContentDeleted", message
    kinds = Counter(f"{kind.plural}.{kind.group}" for kind, _ in remaining)
    if kinds:
        message = "Some resources are remaining: " + _listed(kinds, "has")
        yield "NamespaceContentRemaining", True, "SomeResourcesRemain", message
    else:
        yield (
            "NamespaceContentRemaining",
            False,
            "ContentRemoved",
            "All content successfully removed",
        )
    finalizers = Counter(name for _, revision in remaining for name in _finalizers(revision.object))
    if finalizers:
        message = "Some content in the namespace has finalizers remaining: " + _listed(
            finalizers, "in"
        )
        yield "NamespaceFinalizersRemaining", True, "SomeFinalizersRemain", message
    else:
        message = "All content-preserving finalizers finished"
        yield "NamespaceFinalizersRemaining", False, "ContentHasNoFinalizers", message


def _condition(
    before: Mapping[str, Mapping[str, Any]], now: str, *judgement: str | bool
) -> Mapping[str, Any]:
    name, holds, reason, message = judgement
    status = "True" if holds else "False"
    found = before.get(str(name))
    if found is not None and (found["status"], found.get("message")) == (status, message):
        return found
    since = found["lastTransitionTime"] if found is not None and found["status"] == status else now
    return {
        "type": name,
        "status": status,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def _finalizers(obj: Object) -> list[str]:
    return list(obj["metadata"].get("finalizers") or ())


def _listed(counts: Counter[str], word: str) -> str:
    return ", ".join(
        f"{name} {word} {count} resource instances" for name, count in sorted(counts.items())
    )
