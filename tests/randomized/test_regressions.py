"""Runs that failed once, shortened by `shorten.py`, each with its defect."""

from collections.abc import Iterator

import pytest

from tests.randomized.machine import RandomRuns


@pytest.fixture
def state() -> Iterator[RandomRuns]:
    """A simulation before its first step; after the test it must converge."""
    runs = RandomRuns()
    yield runs
    runs.teardown()


def test_a_destination_in_flight_for_another_sync_is_retried(state: RandomRuns) -> None:
    """A write that found its destination in flight for another sync was never retried."""
    state.begin(
        rng=255,
        content={"data": {}},
        spec={
            "configMapName": "config",
            "keys": [{"key": "x"}],
            "destinationConfigMapName": "third",
            "destinationNamespaceSelector": {
                "matchExpressions": [{"key": "team", "operator": "Exists"}]
            },
        },
    )
    state.write_sync(
        key=("home", "two"),
        spec={"configMapName": "config", "destinationNamespaces": ["team-*", "web"]},
    )
    state.set_metadata(
        name="argocd.argoproj.io/tracking-id", part="annotations", key=("team-a", "config")
    )
    state.write_configmap(content={"data": {"b": "2"}}, key=("home", "config"))
    state.set_metadata(
        name="argocd.argoproj.io/tracking-id", part="annotations", key=("team-a", "config")
    )
    state.write_sync(
        key=("web", "three"),
        spec={
            "configMapName": "other",
            "destinationNamespaces": ["kube-system"],
            "excludedNamespaces": ["team-?"],
            "destinationNamespaceSelector": {},
            "destinationConfigMapName": "config",
        },
    )
    state.delete_configmap(key=("kube-system", "config"))
    state.delay_watch(name="copies", seconds=0.5)
    state.label_namespace(labels={}, name="web")
    state.compact_history()
    state.break_watches()
    state.end_namespaces()
    state.remove_sync_by_force(key=("home", "two"))


@pytest.mark.parametrize("policy", ["Fail", "Adopt"])
def test_a_copy_without_the_uid_of_its_sync_is_unmanaged(state: RandomRuns, policy: str) -> None:
    """The sync reported a conflict with itself over the copy, and no event resolved it."""
    state.begin(
        rng=20,
        content={"data": {}},
        spec={
            "configMapName": "config",
            "destinationNamespaces": ["web"],
            "conflictPolicy": policy,
        },
    )
    state.wait(seconds=70.0)
    state.remove_mark(mark=("apps.nishaf.info/sync-uid", "labels"), key=("web", "config"))


def test_a_slow_deletion_of_another_syncs_copy_wakes_the_waiting_sync(state: RandomRuns) -> None:
    """The waiting sync was never enqueued after the copy had gone."""
    state.begin(
        rng=0,
        content={"data": {"a": "1"}},
        spec={"configMapName": "config", "destinationNamespaces": ["web"]},
    )
    state.wait(seconds=1)
    state.add_finalizer(key=("web", "config"))
    state.delete_sync(key=("home", "one"))
    state.wait(seconds=1)
    state.write_sync(
        key=("home", "two"), spec={"configMapName": "config", "destinationNamespaces": ["web"]}
    )
    state.wait(seconds=1)


def test_an_adopted_immutable_copy_that_must_yield_is_a_conflict(state: RandomRuns) -> None:
    """The winner cannot take it over: the conflict names the cure, and the loser is contested."""
    fixed = {"data": {"a": "1"}, "immutable": True}
    wanted = {"configMapName": "config", "destinationNamespaces": ["team-a"]}
    state.begin(rng=1, content=fixed, spec=wanted)
    state.write_configmap(key=("team-b", "config"), content=fixed)
    state.write_sync(
        key=("home", "two"),
        spec={**wanted, "destinationNamespaces": ["team-b"], "conflictPolicy": "Adopt"},
    )
    state.wait(seconds=5.0)
    state.delete_configmap(key=("web", "other"))
    state.write_configmap(key=("web", "other"), content={"data": {"a": "2"}, "immutable": True})
    state.write_sync(
        key=("home", "one"),
        spec={
            "configMapName": "other",
            "sourceNamespace": "web",
            "destinationConfigMapName": "config",
            "destinationNamespaces": ["team-b"],
        },
    )
