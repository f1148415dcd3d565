"""Changes of users and other programs to marks, finalizers and namespaces."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.expected import DESTINATION, MANAGED_BY, POLICY, SYNCED_BY, UID, Key
from tests.randomized.simulation import CONFIGMAPS, NAMESPACES, SYNCS, Simulation

SPACES = ("home", "web", "team-a", "team-b", "kube-system")
NAMES = ("config", "other")
FOREIGN_KEYS = ("others", "taken", "argocd.argoproj.io/tracking-id")
FOREIGN_FINALIZER = "example.com/hold"
MARKS = (
    (MANAGED_BY, "labels"),
    (UID, "labels"),
    *((mark, "annotations") for mark in (SYNCED_BY, DESTINATION, POLICY)),
)

configmap_keys = st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES))
sync_keys = st.sampled_from((("home", "one"), ("home", "two"), ("web", "three")))
namespace_names = st.sampled_from(SPACES)
labels = st.sampled_from(
    (
        {},
        {"tier": "front"},
        {"tier": "front", "team": "a"},
        {"team": "b"},
        {"apps.nishaf.info/sync": "disabled"},
    )
)


class Marks(Simulation):
    """Rules that change ConfigMaps with marks, or the marks."""

    @rule(key=configmap_keys, mark=st.sampled_from(MARKS))
    def remove_mark(self, key: Key, mark: tuple[str, str]) -> None:
        """Remove one of the operator's marks."""
        name, part = mark
        self.patch(CONFIGMAPS, key, {"metadata": {part: {name: None}}})

    @rule(
        key=configmap_keys,
        part=st.sampled_from(("labels", "annotations")),
        name=st.sampled_from(FOREIGN_KEYS),
    )
    def set_metadata(self, key: Key, part: str, name: str) -> None:
        """Put another tool's label or annotation on a ConfigMap."""
        self.patch(CONFIGMAPS, key, {"metadata": {part: {name: "another-tool"}}})

    @rule(key=configmap_keys, to=configmap_keys)
    def clone(self, key: Key, to: Key) -> None:
        """Copy a ConfigMap with all its labels and annotations, marks included."""
        original = self.cluster.find(CONFIGMAPS, *key)
        if original is None or self.cluster.find(CONFIGMAPS, *to) is not None:
            return
        kept = {part: original["metadata"].get(part) or {} for part in ("labels", "annotations")}
        self.put(CONFIGMAPS, {**original, "metadata": {"namespace": to[0], "name": to[1], **kept}})

    @rule(key=configmap_keys)
    def add_finalizer(self, key: Key) -> None:
        """Add a foreign finalizer that blocks the deletion of a ConfigMap until the run ends."""
        if self.patch(CONFIGMAPS, key, {"metadata": {"finalizers": [FOREIGN_FINALIZER]}}):
            self.held.add(key)

    @rule(key=configmap_keys)
    def remove_finalizer(self, key: Key) -> None:
        """Remove that finalizer."""
        self.patch(CONFIGMAPS, key, {"metadata": {"finalizers": None}})

    @rule(key=sync_keys)
    def remove_sync_by_force(self, key: Key) -> None:
        """Delete a sync and remove its finalizer by hand."""
        self.remove(SYNCS, key)
        self.patch(SYNCS, key, {"metadata": {"finalizers": None}})


class Namespaces(Simulation):
    """Rules that change namespaces."""

    @rule(name=namespace_names, labels=labels)
    def label_namespace(self, name: str, labels: dict[str, str]) -> None:
        """Relabel a namespace, or create it again."""
        existing = self.cluster.find(NAMESPACES, "", name)
        document: dict[str, Any] = (
            dict(existing) if existing else {"apiVersion": "v1", "kind": "Namespace"}
        )
        metadata = {**document.get("metadata", {"name": name}), "labels": labels}
        self.put(NAMESPACES, {**document, "metadata": metadata})

    @rule(name=st.sampled_from(("team-a", "team-b", "web", "team-a", "team-b", "home")))
    def delete_namespace(self, name: str) -> None:
        """Delete a namespace; it is gone when the namespace controller has emptied it."""
        self.remove(NAMESPACES, ("", name))

    @rule()
    def end_namespaces(self) -> None:
        """Run the namespace controller."""
        self._run(self.cluster.end_namespaces())
