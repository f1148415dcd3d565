"""One of two replicas writes, and late writes of a former leader are refused."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.randomized.cluster import CONFIGMAPS
from tests.randomized.fault_plan import Fault, FaultKind, Request
from tests.randomized.replica_rules import TwoReplicas
from tests.randomized.seeds import FIRST_SHARD, RUNS, run_seed

CONTENTS: list[dict[str, Any]] = [{"data": {"a": value}} for value in "123"]
ONE = ("home", "one")
SOURCE, COPY = ("home", "config"), ("web", "config")
SPEC = {"configMapName": "config", "destinationNamespaces": ["web"]}
LEASE_SECONDS = 15.0
SETTLE_SECONDS = 5.0
FROZEN_SECONDS = 42.0  # the late request arrives 45 seconds after it was sent


class LateWrite(Fault):
    """The next write of a copy arrives after its sender has stopped waiting."""

    def strikes(self, request: Request) -> bool:
        return request.stores and "/configmaps" in request.path


@pytest.fixture
def two() -> Iterator[TwoReplicas]:
    """Two replicas, of which one leads, and one copy; after the test they must converge."""
    runs = TwoReplicas()
    runs.begin(rng=1, content=CONTENTS[0], spec=SPEC)
    runs.wait(seconds=SETTLE_SECONDS)
    yield runs
    runs.teardown()


@pytest.mark.timeout(1800)  # the number of runs is configurable
@pytest.mark.parametrize("seed", FIRST_SHARD)
def test_two_replicas_never_write_in_one_term_and_converge(seed: int) -> None:
    run_seed(seed, TwoReplicas, runs=RUNS // 80)


def _update_late(two: TwoReplicas) -> None:
    two.write_configmap(SOURCE, CONTENTS[1])


def _create_late(two: TwoReplicas) -> None:
    two.delete_configmap(COPY)


def _delete_late(two: TwoReplicas) -> None:
    two.change_sync(ONE, {"destinationNamespaces": ["team-a"]})
    two.wait(seconds=0.2)
    two.change_sync(ONE, {"destinationNamespaces": ["web"]})


@pytest.mark.parametrize("act", [_update_late, _create_late, _delete_late])
def test_a_late_write_of_a_former_leader_changes_nothing(two: TwoReplicas, act: Any) -> None:
    former = two.replica(leader=True)
    two.faults.pending.append(LateWrite(FaultKind.LATE, 0, only_writes=True))
    act(two)
    two.wait(seconds=0.1)
    assert two.faults.late, "the write was sent"
    two.freeze_replica(seconds=FROZEN_SECONDS, leader=True)
    two.write_configmap(SOURCE, CONTENTS[2])
    two.wait(seconds=2 * LEASE_SECONDS)
    assert two.replica(leader=True) is not former
    written = _copy(two)
    assert written["data"] == CONTENTS[2]["data"]

    two.wait(seconds=LEASE_SECONDS)

    assert two.terms.late == 1
    assert _copy(two)["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


def test_a_stolen_lease_stops_its_holder_and_is_taken_when_it_expires(two: TwoReplicas) -> None:
    former = two.replica(leader=True)
    two.steal_lease()
    two.wait(seconds=SETTLE_SECONDS)
    assert not any(each.leads for each in two._replicas)
    two.write_configmap(SOURCE, CONTENTS[1])
    assert _copy(two)["data"] == CONTENTS[0]["data"]

    two.wait(seconds=2 * LEASE_SECONDS)

    assert former.ended.is_set()
    assert _copy(two)["data"] == CONTENTS[1]["data"]


def test_a_leader_that_is_cut_off_is_replaced_and_does_not_write_when_it_is_back(
    two: TwoReplicas,
) -> None:
    former = two.replica(leader=True)
    two.cut_off_replica(seconds=3 * LEASE_SECONDS, leader=True)
    two.write_configmap(SOURCE, CONTENTS[1])
    two.wait(seconds=2 * LEASE_SECONDS)
    assert _copy(two)["data"] == CONTENTS[1]["data"]
    two.wait(seconds=2 * LEASE_SECONDS)

    assert two.terms.writers == [former.identity, two.replica(leader=True).identity]


def _copy(two: TwoReplicas) -> Any:
    return two.cluster.find(CONFIGMAPS, *COPY)
