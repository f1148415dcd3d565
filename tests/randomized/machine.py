"""The rules by which histories are made: whatever people, other programs and bad luck do to a cluster.

A rule that finds nothing to act on does nothing. Its arguments are plain values, so that a history that failed can be written down as a test
as it is printed (`test_kept.py`).
"""

import operator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.randomized.fault_rules import FaultRules
from tests.randomized.story import CONFIGMAPS, SYNCS, Story
from tests.randomized.tampering import NAMES, Marks, Namespaces, keys, places
from tests.randomized.world import Place

HOUR, SHORT_WHILE = 3600.0, 700.0  # seconds of silence at the end; an hour for every eighth history
WAITS = (0.001, 0.005, 0.02, 0.1, 1.0, 5.0, 70.0, 700.0)

contents = st.fixed_dictionaries(
    {
        "data": st.dictionaries(
            st.sampled_from(("a", "b", "c")), st.sampled_from(("1", "2", "3")), max_size=3
        )
    },
    optional={
        "binaryData": st.dictionaries(
            st.sampled_from(("x", "y")), st.sampled_from(("AQ==", "Ag==")), max_size=1
        ),
        "immutable": st.sampled_from((False, False, True)),
    },
)
globs = st.sampled_from(
    ("home", "web", "team-a", "team-b", "kube-system", "gone", "team-*", "*", "?eb")
)
selectors = st.sampled_from(
    (
        {},
        {"matchLabels": {"tier": "front"}},
        {"matchExpressions": [{"key": "team", "operator": "Exists"}]},
        {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]},
    )
)
sources = st.sampled_from(
    (
        {"configMapName": "config", "sourceNamespace": "home"},
        {"configMapName": "config", "sourceNamespace": "home"},
        {"configMapName": "other", "sourceNamespace": "web"},
        {"configMapName": "config"},
        {"configMapName": "other"},
    )
)
namespaces = st.lists(globs, min_size=1, max_size=2)
wishes = {
    "destinationNamespaceSelector": selectors,
    "excludedNamespaces": st.sampled_from(([], [], ["team-b"], ["team-?"])),
    "destinationConfigMapName": st.sampled_from((*NAMES, "third")),
    "keys": st.sampled_from(
        ([{"key": "a"}], [{"key": "?"}], [{"key": "b", "as": "renamed"}, {"key": "x"}])
    ),
    "metadata": st.sampled_from(({}, {"labels": {"put": "on"}}, {"annotations": {"put": "too"}})),
    "copyMetadata": st.sampled_from(({}, {"labels": ["taken*"]}, {"annotations": ["*"]})),
    "conflictPolicy": st.sampled_from(("Fail", "Adopt")),
    "deletionPolicy": st.sampled_from(("Delete", "Orphan")),
    "sourceDeletionPolicy": st.sampled_from(("Retain", "Delete")),
    "suspend": st.sampled_from((False, False, False, True)),
}
wanted = st.fixed_dictionaries({"destinationNamespaces": namespaces}, optional=wishes)
specs = st.builds(operator.or_, sources, wanted)
changes = st.one_of(
    st.fixed_dictionaries({field: wish})
    for field, wish in {**wishes, "destinationNamespaces": namespaces}.items()
)


class Histories(Marks, Namespaces, FaultRules, Story, RuleBasedStateMachine):
    """Random histories; the reconciler has to come out of each of them with everything right."""

    @initialize(content=contents, spec=specs, rng=st.integers(0, 255))
    def begin(self, content: dict[str, Any], spec: dict[str, Any], rng: int) -> None:
        """There are sources and a sync, and requests take their time."""
        self.weather.rng.seed(rng)
        self.quiet = HOUR if rng % 8 == 0 else SHORT_WHILE
        for place in (("home", "config"), ("web", "other")):
            self.write_configmap(place, content)
        self.write_sync(("home", "one"), spec)

    @rule(place=places, content=contents)
    def write_configmap(self, place: Place, content: dict[str, Any]) -> None:
        """Somebody creates a ConfigMap, or writes over what is there: a source, a copy, or what is nobody's."""
        namespace, name = place
        standing = self.cluster.find(CONFIGMAPS, namespace, name)
        metadata = (
            dict(standing["metadata"]) if standing else {"namespace": namespace, "name": name}
        )
        self.put(
            CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
        )

    @rule(place=places)
    def delete_configmap(self, place: Place) -> None:
        """Somebody deletes a ConfigMap, whatever it is."""
        self.remove(CONFIGMAPS, place)

    @rule(key=keys, spec=specs)
    def write_sync(self, key: Place, spec: dict[str, Any]) -> None:
        """Somebody creates a sync, or gives it another spec."""
        namespace, name = key
        standing = self.cluster.find(SYNCS, namespace, name)
        metadata = (
            dict(standing["metadata"]) if standing else {"namespace": namespace, "name": name}
        )
        self.put(
            SYNCS,
            {
                "apiVersion": "apps.nishaf.info/v1",
                "kind": "ConfigMapSync",
                "metadata": metadata,
                "spec": spec,
            },
        )

    @rule(key=keys, wish=changes)
    def change_sync(self, key: Place, wish: dict[str, Any]) -> None:
        """Somebody changes one thing about a sync."""
        self.patch(SYNCS, key, {"spec": wish})

    @rule(key=keys, content=contents)
    def edit_source(self, key: Place, content: dict[str, Any]) -> None:
        """Somebody edits the source of a sync, or makes it."""
        if (sync := self.world.sync_at(key)) is not None:
            self.write_configmap(sync.source, content)

    @rule(key=keys)
    def delete_sync(self, key: Place) -> None:
        """Somebody deletes a sync."""
        self.remove(SYNCS, key)

    @rule(seconds=st.sampled_from(WAITS))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.pass_time(seconds)
        self.look()
