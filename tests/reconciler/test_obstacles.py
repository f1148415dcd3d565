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
