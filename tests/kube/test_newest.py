"""The newest object is found exactly, and without visiting all of them."""

import random

import pytest

from kube.newest import NOTED, Newest
from kube.wire import Place

PLACES = [("team", f"thing-{number}") for number in range(200)]


class Cache:
    """Versions by place, and how often all places were visited."""

    def __init__(self) -> None:
        self.versions: dict[Place, int] = {}
        self.visits = 0
        self.newest = Newest(lambda place: self.versions.get(place, 0), self._everything)

    def _everything(self) -> list[Place]:
        self.visits += 1
        return list(self.versions)

    def put(self, place: Place, version: int) -> None:
        self.versions[place] = version
        self.newest.note(place, version)

    @property
    def expected(self) -> int:
        return max(self.versions.values(), default=0)

    @property
    def found(self) -> int:
        place = self.newest.find()
        return 0 if place is None else self.versions[place]


@pytest.mark.parametrize("seed", range(30))
def test_the_newest_is_found_after_any_changes(seed: int) -> None:
    rng, cache = random.Random(seed), Cache()  # noqa: S311 - the same in every run
    version = 1000
    for _ in range(400):
        place = rng.choice(PLACES)
        match rng.choice(["newer", "newer", "older", "remove", "ask", "clear"]):
            case "newer":
                version += 1
                cache.put(place, version)
            case "older":
                cache.put(place, rng.randrange(1, version))
            case "remove":
                cache.versions.pop(place, None)
            case "ask":
                assert cache.found == cache.expected
            case _ if rng.random() < 0.1:
                cache.versions.clear()
                cache.newest.clear()
    assert cache.found == cache.expected


def test_a_watch_in_order_never_visits_all() -> None:
    cache = Cache()
    for version, place in enumerate(PLACES * 5, start=1):
        cache.put(place, version)
        assert cache.found == version
    for place in PLACES[-NOTED + 1 :]:
        del cache.versions[place]
    assert cache.found == cache.expected
    assert cache.visits == 0


def test_a_list_in_another_order_visits_all_once_if_the_newest_is_removed() -> None:
    cache = Cache()
    for version, place in zip(random.Random(1).sample(range(1, 1000), 200), PLACES, strict=True):  # noqa: S311
        cache.put(place, version)
    assert cache.found == cache.expected
    assert cache.visits == 0
    place = cache.newest.find()
    assert place is not None
    del cache.versions[place]
    for _ in range(10):
        assert cache.found == cache.expected
    assert cache.visits == 1
