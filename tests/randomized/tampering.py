"""What people and other programs do around the copies: to their marks, to the syncs' finalizers, and to namespaces."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.story import CONFIGMAPS, NAMESPACES, SYNCS, Story
from tests.randomized.world import DESTINATION, MANAGED_BY, POLICY, SYNCED_BY, UID, Place

SPACES = ("home", "web", "team-a", "team-b", "kube-system")
NAMES = ("config", "other")
NOTES = ("others", "taken", "argocd.argoproj.io/tracking-id")
HOLD = "example.com/hold"
MARKS = (
    (MANAGED_BY, "labels"),
    (UID, "labels"),
    *((mark, "annotations") for mark in (SYNCED_BY, DESTINATION, POLICY)),
)

places = st.tuples(st.sampled_from(SPACES), st.sampled_from(NAMES))
keys = st.sampled_from((("home", "one"), ("home", "two"), ("web", "three")))
homes = st.sampled_from(SPACES)
labels = st.sampled_from(
    (
        {},
        {"tier": "front"},
        {"tier": "front", "team": "a"},
        {"team": "b"},
        {"apps.nishaf.info/sync": "disabled"},
    )
)


class Marks(Story):
    """What carries our marks, or ought to."""

    @rule(place=places, mark=st.sampled_from(MARKS))
    def take_mark_off(self, place: Place, mark: tuple[str, str]) -> None:
        """Somebody removes one of our marks."""
        name, part = mark
        self.patch(CONFIGMAPS, place, {"metadata": {part: {name: None}}})

    @rule(
        place=places, part=st.sampled_from(("labels", "annotations")), name=st.sampled_from(NOTES)
    )
    def put_on(self, place: Place, part: str, name: str) -> None:
        """Somebody puts a label or annotation of his own on a ConfigMap."""
        self.patch(CONFIGMAPS, place, {"metadata": {part: {name: "somebody"}}})

    @rule(place=places, to=places)
    def clone(self, place: Place, to: Place) -> None:
        """A tool copies a ConfigMap to elsewhere with everything that is on it, marks and all."""
        original = self.cluster.find(CONFIGMAPS, *place)
        if original is None or self.cluster.find(CONFIGMAPS, *to) is not None:
            return
        kept = {part: original["metadata"].get(part) or {} for part in ("labels", "annotations")}
        self.put(CONFIGMAPS, {**original, "metadata": {"namespace": to[0], "name": to[1], **kept}})

    @rule(place=places)
    def hold(self, place: Place) -> None:
        """A finalizer of somebody else's keeps a ConfigMap from going, until the history ends."""
        if self.patch(CONFIGMAPS, place, {"metadata": {"finalizers": [HOLD]}}):
            self.held.add(place)

    @rule(place=places)
    def let_go(self, place: Place) -> None:
        """That finalizer is taken off."""
        self.patch(CONFIGMAPS, place, {"metadata": {"finalizers": None}})

    @rule(key=keys)
    def remove_sync_by_force(self, key: Place) -> None:
        """Somebody deletes a sync and takes its finalizer off himself."""
        self.remove(SYNCS, key)
        self.patch(SYNCS, key, {"metadata": {"finalizers": None}})


class Namespaces(Story):
    """Namespaces come and go."""

    @rule(name=homes, labels=labels)
    def label_namespace(self, name: str, labels: dict[str, str]) -> None:
        """A namespace is labelled otherwise, or made again where it is gone."""
        standing = self.cluster.find(NAMESPACES, "", name)
        document: dict[str, Any] = (
            dict(standing) if standing else {"apiVersion": "v1", "kind": "Namespace"}
        )
        metadata = {**document.get("metadata", {"name": name}), "labels": labels}
        self.put(NAMESPACES, {**document, "metadata": metadata})

    @rule(name=st.sampled_from(("team-a", "team-b", "web", "team-a", "team-b", "home")))
    def delete_namespace(self, name: str) -> None:
        """Somebody deletes a namespace; it goes when the namespace controller has emptied it."""
        self.remove(NAMESPACES, ("", name))

    @rule()
    def end_namespaces(self) -> None:
        """The namespace controller works."""
        self._play(self.cluster.end_namespaces())
