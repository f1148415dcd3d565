"""The store: one version, one history, and every state that it has shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.storage.store import Event, Store, TooOldError

KEY = ("", "configmaps")
OTHER = ("", "secrets")
PLACES = st.tuples(st.sampled_from(["a", "b", "b-b"]), st.sampled_from(["x", "y", "z"]))
WRITES = st.lists(
    st.tuples(st.sampled_from(["put", "remove"]), st.sampled_from([KEY, OTHER]), PLACES),
    max_size=20,
)


def carry_out(
    store: Store, writes: list[tuple[str, tuple[str, str], tuple[str, str]]]
) -> dict[int, list[tuple[str, str]]]:
    """Write, and remember what there was of KEY after each write, by version."""
    states = {store.version: [revision.place for revision in store.items(KEY)]}
    for verb, key, (namespace, name) in writes:
        if verb == "put":
            store.put(key, {"metadata": {"namespace": namespace, "name": name}})
        elif store.get(key, namespace, name) is not None:
            store.remove(key, namespace, name)
        states[store.version] = [revision.place for revision in store.items(KEY)]
    return states


@given(WRITES)
def test_every_former_state_can_be_read_again(
    writes: list[tuple[str, tuple[str, str], tuple[str, str]]],
) -> None:
    store = Store()

    for version, places in carry_out(store, writes).items():
        assert [revision.place for revision in store.at(KEY, None, version)] == places


@given(WRITES)
def test_whoever_lists_once_and_follows_the_events_knows_everything(
    writes: list[tuple[str, tuple[str, str], tuple[str, str]]],
) -> None:
    store = Store()
    seen: list[Event] = []
    store.subscribe(seen.append)
    carry_out(store, writes)

    followed = {}
    for event in seen:
        if event.key == KEY:
            followed[event.new.place] = event.new.version
            if event.kind == "DELETED":
                del followed[event.new.place]

    assert followed == {revision.place: revision.version for revision in store.items(KEY)}
    assert [event.new.version for event in seen] == sorted({event.new.version for event in seen})
    assert store.since(KEY, 1) == [event for event in seen if event.key == KEY]


@given(WRITES)
def test_lists_are_in_order_and_a_namespace_holds_its_own_alone(
    writes: list[tuple[str, tuple[str, str], tuple[str, str]]],
) -> None:
    store = Store()
    carry_out(store, writes)

    places = [revision.place for revision in store.items(KEY)]
    assert places == sorted(places)
    for namespace in ("a", "b", "b-b"):
        inside = [revision.place for revision in store.items(KEY, namespace)]
        assert inside == [place for place in places if place[0] == namespace]


@given(WRITES)
def test_a_snapshot_brings_everything_back_but_the_history(
    writes: list[tuple[str, tuple[str, str], tuple[str, str]]],
) -> None:
    store, again = Store(), Store()
    carry_out(store, writes)

    again.load(json.loads(json.dumps(store.dump())))

    assert again.version == store.version
    assert [revision.object for revision in again.items(KEY)] == [
        revision.object for revision in store.items(KEY)
    ]
    if store.version > 1:
        with pytest.raises(TooOldError):
            again.since(KEY, 1)


def test_a_history_that_was_forgotten_is_too_old_to_resume_from() -> None:
    store = Store()
    store.put(KEY, {"metadata": {"namespace": "a", "name": "x"}})
    before = store.version
    store.put(KEY, {"metadata": {"namespace": "a", "name": "y"}})
    store.compact()

    with pytest.raises(TooOldError, match=f"too old resource version: {before}"):
        store.since(KEY, before)
    assert store.since(KEY, store.version) == []
