"""A refusal is retried until it ends by itself, whatever it was."""

from collections.abc import Iterator

import pytest

from tests.randomized.cluster import CONFIGMAPS
from tests.randomized.permission_rules import Permissions
from tests.randomized.seeds import RUNS, SECOND_SHARD, run_seed

ONE = ("home", "one")
SPEC = {"configMapName": "config", "destinationNamespaces": ["web"], "serviceAccountName": "robot"}
REFUSED_SECONDS = 4000.0  # so long that each backoff has reached its longest pause
NOTICED_SECONDS = 60.0  # within which a lost right is noticed
RETRIED_SECONDS = 330.0  # the longest pause between two tries


@pytest.fixture
def state() -> Iterator[Permissions]:
    """A sync whose service account may do everything; after the test it must converge."""
    runs = Permissions()
    for namespace in ("home", "web"):
        runs.change_account(namespace=namespace, exists=True)
    runs.change_role(exists=True)
    runs.change_binding(exists=True)
    runs.begin(rng=1, content={"data": {"a": "1"}}, spec=SPEC)
    runs.wait(seconds=5.0)
    assert _is_copied(runs)
    yield runs
    runs.teardown()


@pytest.mark.timeout(1800)  # the number of runs is configurable
@pytest.mark.parametrize("seed", SECOND_SHARD)
def test_every_refusal_heals_by_itself(seed: int) -> None:
    run_seed(seed, Permissions, runs=RUNS // 80)


@pytest.mark.parametrize("refusal", ["role", "binding", "account"])
def test_a_lost_right_withdraws_the_copy_and_a_regained_one_restores_it(
    state: Permissions, refusal: str
) -> None:
    def set_right(*, exists: bool) -> None:
        match refusal:
            case "role":
                state.change_role(exists=exists)
            case "binding":
                state.change_binding(exists=exists)
            case "account":
                state.change_account(namespace="home", exists=exists)

    set_right(exists=False)
    state.wait(seconds=NOTICED_SECONDS)
    assert not _is_copied(state)
    state.wait(seconds=REFUSED_SECONDS)
    assert not _is_copied(state)

    set_right(exists=True)
    state.wait(seconds=RETRIED_SECONDS)

    assert _is_copied(state)


@pytest.mark.parametrize("refusal", ["quota", "policy"])
def test_a_refused_write_is_retried_for_hours_and_succeeds_when_the_refusal_ends(
    state: Permissions, refusal: str
) -> None:
    if refusal == "quota":
        state.change_quota(namespace="web", exists=True)
    else:
        state.change_policy(namespace="web", denies=True)
    state.delete_configmap(key=("web", "config"))
    state.wait(seconds=REFUSED_SECONDS)
    assert not _is_copied(state)

    if refusal == "quota":
        state.change_quota(namespace="web", exists=False)
    else:
        state.change_policy(namespace="web", denies=False)
    state.wait(seconds=RETRIED_SECONDS)

    assert _is_copied(state)


def _is_copied(state: Permissions) -> bool:
    return state.cluster.find(CONFIGMAPS, "web", "config") is not None
