"""Histories that ended badly once, each with what was wrong: as they were printed and made short (`shorten.py`)."""

from collections.abc import Iterator

import pytest

from tests.randomized.machine import Histories


@pytest.fixture
def state() -> Iterator[Histories]:
    """A cluster in which nothing has happened yet; when the test is over, all has to come to rest."""
    history = Histories()
    yield history
    history.teardown()


def test_a_destination_in_flight_for_another_sync_is_retried(state: Histories) -> None:
    """A write that found the place in flight for another sync was never tried again."""
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
    state.put_on(
        name="argocd.argoproj.io/tracking-id", part="annotations", place=("team-a", "config")
    )
    state.write_configmap(content={"data": {"b": "2"}}, place=("home", "config"))
    state.put_on(
        name="argocd.argoproj.io/tracking-id", part="annotations", place=("team-a", "config")
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
    state.delete_configmap(place=("kube-system", "config"))
    state.delay_watch(name="copies", seconds=0.5)
    state.label_namespace(labels={}, name="web")
    state.forget_history()
    state.break_watches()
    state.end_namespaces()
    state.remove_sync_by_force(key=("home", "two"))


@pytest.mark.parametrize("policy", ["Fail", "Adopt"])
def test_a_copy_without_the_uid_of_its_sync_is_unmanaged(state: Histories, policy: str) -> None:
    """The sync said that it was at odds with itself over the copy, and nothing helped."""
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
    state.take_mark_off(mark=("apps.nishaf.info/sync-uid", "labels"), place=("web", "config"))


def test_a_slow_deletion_of_another_syncs_copy_wakes_the_waiting_sync(state: Histories) -> None:
    """Who waited for it was never told that it had gone."""
    state.begin(
        rng=0,
        content={"data": {"a": "1"}},
        spec={"configMapName": "config", "destinationNamespaces": ["web"]},
    )
    state.wait(seconds=1)
    state.hold(place=("web", "config"))
    state.delete_sync(key=("home", "one"))
    state.wait(seconds=1)
    state.write_sync(
        key=("home", "two"), spec={"configMapName": "config", "destinationNamespaces": ["web"]}
    )
    state.wait(seconds=1)
