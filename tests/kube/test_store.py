"""The newest record is found exactly, whatever was put, removed or became stale."""

import random

import pytest

from kube.history import Seen
from kube.store import Store
from tests.kube.test_informer import Thing

NAMES = [f"thing-{number}" for number in range(50)]


def put(store: Store[Thing], name: str, version: int) -> None:
    store.put(Thing("team", name, str(version)))


@pytest.mark.parametrize("seed", range(30))
def test_the_newest_is_found_after_any_changes(seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - the same in every run
    store: Store[Thing] = Store({})
    versions: dict[str, int] = {}
    newest = 1000
    for _ in range(400):
        name = rng.choice(NAMES)
        match rng.choice(["newer", "newer", "older", "remove", "ask", "stale"]):
            case "newer":
                newest += 1
                versions[name] = newest
                put(store, name, newest)
            case "older":
                versions[name] = rng.randrange(1, newest)
                put(store, name, versions[name])
            case "remove":
                versions.pop(name, None)
                store.remove(("team", name))
            case "ask":
                assert found(store) == max(versions.values(), default=0)
            case _ if rng.random() < 0.1:
                versions.clear()
                store.mark_stale()
    assert found(store) == max(versions.values(), default=0)


def found(store: Store[Thing]) -> int:
    newest = store.newest()
    if newest is None:
        return 0
    assert store.version_at(("team", newest.name)) == newest.version
    return newest.version


def test_a_record_that_only_marks_a_key_is_never_the_newest() -> None:
    store: Store[Thing] = Store({})
    put(store, "expected", 0)
    assert store.newest() is None
    put(store, "thing", 7)
    assert store.newest() == Seen("team", "thing", 7)
