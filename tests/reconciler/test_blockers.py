"""Blockers of destinations, and the syncs that wait for them to go."""

from configmapsync.copies import CopyRecord
from configmapsync.names import NamespacedName
from reconciler.known.blockers import Blockers

PLACE = NamespacedName("web", "config")
ONE, TWO = NamespacedName("home", "one"), NamespacedName("home", "two")
FOREIGN = CopyRecord(
    "web", "config", "uid", "7", "sha256:0", {}, {}, immutable=False, deleting=False, others={}
)


def test_other_waiting_syncs_stay_registered_when_one_has_seen_the_blocker_go() -> None:
    blockers = Blockers()
    blockers.expect(PLACE, ONE)
    blockers.expect(PLACE, TWO)
    blockers.found(FOREIGN)
    blockers.cleared(PLACE)
    assert blockers.at(PLACE) is None
    assert PLACE in blockers, "its changes are still to be noticed"
    assert blockers.waiting(PLACE) == {ONE, TWO}
    assert blockers.gone(PLACE) == {ONE, TWO}
    assert PLACE not in blockers


def test_a_destination_without_waiting_syncs_is_not_kept() -> None:
    blockers = Blockers()
    blockers.expect(PLACE, ONE)
    blockers.gone(PLACE)
    blockers.cleared(PLACE)
    assert PLACE not in blockers


def test_a_destination_is_evicted_with_the_last_sync_that_waits_for_it() -> None:
    blockers = Blockers()
    for number in range(100):
        key = NamespacedName(f"n{number}", "config")
        blockers.expect(key, ONE)
        blockers.expect(key, TWO)
    kept = NamespacedName("n7", "config")

    blockers.retain(ONE, {kept})
    assert len(blockers._found) == 100
    blockers.retain(TWO, set())
    assert len(blockers._found) == 1
    blockers.stop_waiting(kept, ONE)

    assert len(blockers._found) == 0
    assert blockers.waiting(kept) == frozenset()
