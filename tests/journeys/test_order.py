"""Order does not matter: after any order of events and crashes the copies converge.

Then no further write happens.
"""

import random
import signal
from collections.abc import Callable

import pytest

from tests.journeys.stage import Stage
from tests.support.eventually import wait_until
from tests.support.processes import Process


def test_the_sync_before_its_source_and_the_namespaces_last(
    stage: Stage, reconciler: Process
) -> None:
    home = stage.namespace()
    there = f"late-{stage.tag}"
    sync = stage.sync(home, destinationNamespaces=[there, f"later-{stage.tag}-*"])
    stage.ready_becomes(sync, "False", "SourceNotFound")

    content = stage.source(home)
    stage.ready_becomes(sync, "False", "NamespaceNotFound")
    stage.cluster.add_namespace(there)
    stage.copy_becomes(content, there)
    stage.cluster.add_namespace(f"later-{stage.tag}-1")

    stage.copy_becomes(content, f"later-{stage.tag}-1")
    stage.ready_becomes(sync, "True", "Synced")


def test_a_source_deleted_and_recreated(stage: Stage, reconciler: Process) -> None:
    home, there, content, sync = stage.one_copy()

    stage.delete(home, "config")
    stage.ready_becomes(sync, "False", "SourceNotFound")
    stage.copy_becomes(content, there)
    newer = stage.source(home, data={"again": "1"})

    stage.copy_becomes(newer, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_copies_are_deleted_with_their_source_under_that_policy(
    stage: Stage, reconciler: Process
) -> None:
    home, there, *_ = stage.one_copy(sourceDeletionPolicy="Delete")

    stage.delete(home, "config")

    stage.copy_goes(there)


@pytest.mark.controllers
def test_a_destination_namespace_deleted_and_recreated(stage: Stage, reconciler: Process) -> None:
    home = stage.namespace()
    there = stage.cluster.add_namespace(f"comes-and-goes-{stage.tag}")
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    stage.copy_becomes(content, there)

    stage.cluster.delete(f"/api/v1/namespaces/{there}")
    wait_until(lambda: stage.cluster.find(f"/api/v1/namespaces/{there}") is None, within=60)
    stage.ready_becomes(sync, "False", "NamespaceNotFound")
    stage.cluster.add_namespace(there)

    stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")


def test_a_reconciler_killed_at_any_moment_and_started_again(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home = stage.namespace()
    destinations = [stage.namespace() for _ in range(5)]
    stage.source(home, data={"round": "0"})
    sync = stage.sync(home, destinationNamespaces=destinations)
    rng = random.Random(stage.tag)  # noqa: S311 - named in the failure by the names of the namespaces

    for number in range(1, 4):
        process = start_reconciler()
        content = stage.edit(home, "config", data={"round": str(number)})
        wait_until(_at_a_random_moment(rng), every=0.002)
        process.kill()
    start_reconciler()

    for there in destinations:
        stage.copy_becomes(content, there)
    stage.ready_becomes(sync, "True", "Synced")
    stage.assert_idle()


def test_a_sync_deleted_while_no_reconciler_runs_is_cleaned_up_later(
    stage: Stage, start_reconciler: Callable[..., Process]
) -> None:
    home, there = stage.namespace(), stage.namespace()
    content = stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    first = start_reconciler()
    stage.copy_becomes(content, there)

    assert first.terminate() == 0
    stage.cluster.delete(sync)
    assert stage.find(there) is not None
    start_reconciler()

    stage.copy_goes(there)
    wait_until(lambda: stage.cluster.find(sync) is None)


def test_a_frozen_reconciler_that_wakes_up_late_catches_up(
    stage: Stage, reconciler: Process
) -> None:
    home, there = stage.namespace(), stage.namespace()
    stage.source(home)
    sync = stage.sync(home, destinationNamespace=there)
    stage.ready_becomes(sync, "True", "Synced")

    reconciler.send(signal.SIGSTOP)
    stage.edit(home, "config", data={"key": "1"})
    content = stage.edit(home, "config", data={"key": "2"})
    stage.edit(there, "config", data={"key": "damaged"})
    reconciler.send(signal.SIGCONT)

    stage.copy_becomes(content, there)


def _at_a_random_moment(rng: random.Random) -> Callable[[], bool]:
    """Return True after a random number of calls: 0 to 0.3 seconds after the start."""
    looks = iter(range(rng.randrange(150)))
    return lambda: next(looks, None) is None
