"""What must hold of ownership whatever is written."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from devcluster.fields import apply, track
from devcluster.fields.comparing import fields_of
from devcluster.fields.managers import owners_of
from devcluster.fields.paths import decoded, encoded, with_parents
from devcluster.schema.values import same
from harness.applying import CUSTOM, custom

NOW = "2026-01-01T00:00:00Z"
KEYS = st.sampled_from(["a", "b", "c"])
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "name": KEYS,
        "list": st.lists(KEYS, max_size=3),
        "set": st.lists(KEYS, unique=True, max_size=3),
        "map": st.dictionaries(KEYS, st.integers(0, 2), max_size=3),
        "any": st.dictionaries(
            KEYS, st.dictionaries(KEYS, st.integers(0, 2), max_size=2), max_size=2
        ),
        "keyed": st.dictionaries(KEYS, st.integers(0, 2), max_size=3).map(
            lambda items: [{"k": key, "v": value} for key, value in items.items()]
        ),
    },
)


@given(SPECS)
def test_a_set_of_fields_survives_being_stored(spec: dict[str, Any]) -> None:
    fields = fields_of(custom(spec), CUSTOM)

    assert decoded(encoded(fields)) == fields


@given(SPECS, SPECS)
def test_an_apply_brings_everything_that_it_says_and_a_second_one_nothing_more(
    live: dict[str, Any], wanted: dict[str, Any]
) -> None:
    before = track(None, custom(live), "somebody", CUSTOM, NOW)
    after = apply(before, custom(wanted), "me", True, CUSTOM, NOW)

    assert with_parents(fields_of(custom(wanted), CUSTOM)) <= with_parents(fields_of(after, CUSTOM))
    assert same(apply(after, custom(wanted), "me", False, CUSTOM, NOW), after)


@given(SPECS, SPECS, SPECS)
def test_whoever_applies_and_then_gives_up_leaves_the_rest_as_others_want_it(
    theirs: dict[str, Any], mine: dict[str, Any], later: dict[str, Any]
) -> None:
    first = apply(None, custom(theirs), "they", True, CUSTOM, NOW)
    both = apply(first, custom(mine), "me", True, CUSTOM, NOW)
    after = apply(both, custom(later), "me", True, CUSTOM, NOW)

    owned = {manager.name: owned.paths for manager, owned in owners_of(after).items()}
    there = with_parents(fields_of(after, CUSTOM))
    assert owned.get("they", frozenset()) <= there
    assert owned.get("me", frozenset()) <= fields_of(custom(later), CUSTOM)


@given(SPECS, SPECS)
def test_a_write_that_changes_nothing_changes_no_owner(
    live: dict[str, Any], other: dict[str, Any]
) -> None:
    stored = apply(
        track(None, custom(live), "one", CUSTOM, NOW), custom(other), "two", True, CUSTOM, NOW
    )

    assert same(track(stored, stored, "three", CUSTOM, "2027-01-01T00:00:00Z"), stored)
