"""The rules of random runs: actions of users, other programs and faults on a cluster.

A rule without a matching object does nothing. Its arguments are plain values, so that a
failed run, as hypothesis prints it, is a test for `test_regressions.py`.
"""

import operator
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.randomized.expected import Key
from tests.randomized.fault_rules import FaultRules
from tests.randomized.simulation import CONFIGMAPS, SYNCS, Simulation
from tests.randomized.tampering import NAMES, Marks, Namespaces, configmap_keys, sync_keys

HOUR_SECONDS, SHORT_SECONDS = (
    3600.0,
    700.0,
)  # quiet time at the end of a run; an hour in every eighth
WAITS_SECONDS = (0.001, 0.005, 0.02, 0.1, 1.0, 5.0, 70.0, 700.0)

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
spec_fields = {
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
wanted = st.fixed_dictionaries({"destinationNamespaces": namespaces}, optional=spec_fields)
specs = st.builds(operator.or_, sources, wanted)
changes = st.one_of(
    st.fixed_dictionaries({field: values})
    for field, values in {**spec_fields, "destinationNamespaces": namespaces}.items()
)


class RandomRuns(Marks, Namespaces, FaultRules, Simulation, RuleBasedStateMachine):
    """Random runs after each of which the reconciler must converge."""

    @initialize(content=contents, spec=specs, rng=st.integers(0, 255))
    def begin(self, content: dict[str, Any], spec: dict[str, Any], rng: int) -> None:
        """Create sources and a sync, and seed the delays of requests."""
        self.faults.rng.seed(rng)
        self.quiet = HOUR_SECONDS if rng % 8 == 0 else SHORT_SECONDS
        for key in (("home", "config"), ("web", "other")):
            self.write_configmap(key, content)
        self.write_sync(("home", "one"), spec)

    @rule(key=configmap_keys, content=contents)
    def write_configmap(self, key: Key, content: dict[str, Any]) -> None:
        """Create or replace a ConfigMap: a source, a copy or an unmanaged one."""
        namespace, name = key
        existing = self.cluster.find(CONFIGMAPS, namespace, name)
        metadata = (
            dict(existing["metadata"]) if existing else {"namespace": namespace, "name": name}
        )
        self.put(
            CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
        )

    @rule(key=configmap_keys)
    def delete_configmap(self, key: Key) -> None:
        """Delete any ConfigMap."""
        self.remove(CONFIGMAPS, key)

    @rule(key=sync_keys, spec=specs)
    def write_sync(self, key: Key, spec: dict[str, Any]) -> None:
        """Create a sync, or replace its spec."""
        namespace, name = key
        existing = self.cluster.find(SYNCS, namespace, name)
        metadata = (
            dict(existing["metadata"]) if existing else {"namespace": namespace, "name": name}
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

    @rule(key=sync_keys, change=changes)
    def change_sync(self, key: Key, change: dict[str, Any]) -> None:
        """Change one field of a sync."""
        self.patch(SYNCS, key, {"spec": change})

    @rule(key=sync_keys, content=contents)
    def edit_source(self, key: Key, content: dict[str, Any]) -> None:
        """Edit or create the source of a sync."""
        if (sync := self.expected.sync_at(key)) is not None:
            self.write_configmap(sync.source, content)

    @rule(key=sync_keys)
    def delete_sync(self, key: Key) -> None:
        """Delete a sync."""
        self.remove(SYNCS, key)

    @rule(seconds=st.sampled_from(WAITS_SECONDS))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.pass_time(seconds)
        self.check()
