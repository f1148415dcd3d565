"""What stands where a copy should be, and who waits for it to go."""

from configmapsync.content import CopyRecord
from configmapsync.names import NamespacedName
from reconciler.caches import Obstacles

PLACE = NamespacedName("web", "config")
ONE, TWO = NamespacedName("home", "one"), NamespacedName("home", "two")
FOREIGN = CopyRecord("web", "config", "uid", "7", "sha256:0", {}, {})


def test_who_else_waits_for_a_place_goes_on_waiting_when_one_has_seen_it_cleared() -> None:
    obstacles = Obstacles()
    obstacles.expect(PLACE, ONE)
    obstacles.expect(PLACE, TWO)
    obstacles.found(FOREIGN)
    obstacles.cleared(PLACE)
    assert obstacles.at(PLACE) is None
    assert PLACE in obstacles, "its changes are still to be noticed"
    assert obstacles.waiting(PLACE) == {ONE, TWO}
    assert obstacles.gone(PLACE) == {ONE, TWO}
    assert PLACE not in obstacles


def test_nothing_is_kept_of_a_place_for_which_nobody_waits() -> None:
    obstacles = Obstacles()
    obstacles.expect(PLACE, ONE)
    obstacles.gone(PLACE)
    obstacles.cleared(PLACE)
    assert PLACE not in obstacles


def test_a_place_is_forgotten_with_the_last_sync_that_waits_for_it() -> None:
    obstacles = Obstacles()
    for number in range(100):
        place = NamespacedName(f"n{number}", "config")
        obstacles.expect(place, ONE)
        obstacles.expect(place, TWO)
    kept = NamespacedName("n7", "config")

    obstacles.retain(ONE, {kept})
    assert len(obstacles) == 100
    obstacles.retain(TWO, ())
    assert len(obstacles) == 1
    obstacles.stop_waiting(kept, ONE)

    assert len(obstacles) == 0
    assert obstacles.waiting(kept) == frozenset()
