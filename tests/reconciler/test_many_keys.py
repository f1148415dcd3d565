"""No step costs more for a ConfigMap with many keys than decoding it once.

A ConfigMap of 1.5 MB can have 190,000 keys.
"""

import json
from typing import Any

import msgspec
import pytest

from configmapsync.conditions import status
from configmapsync.content import (
    MOST_HASHED_KEYS,
    MOST_SOURCE_KEYS,
    TOO_MANY_KEYS,
    Content,
    digest,
)
from configmapsync.names import NamespacedName
from configmapsync.planning import plan
from configmapsync.plans import Observed
from configmapsync.reasons import Reason
from configmapsync.rendering import copy_template
from configmapsync.selection import Namespace, Selector
from configmapsync.spec import MOST_KEYS
from reconciler.known.configmaps import read_copy, read_source
from tests.configmapsync.objects import is_empty, observe, record, report, source, sync
from tests.configmapsync.test_conditions import NOW


def config_map(count: int, **parts: Any) -> bytes:
    """Return a ConfigMap with that many keys in `data`."""
    metadata = {"name": "config", "namespace": "home", "uid": "u", "resourceVersion": "5"}
    data = {f"{number:x}": "" for number in range(count)}
    return json.dumps({"metadata": metadata, "data": data, **parts}).encode()


def observed(raw: bytes) -> Observed:
    """Return the observation of a sync whose copy in "there" was made from a smaller source."""
    wanted = sync(destinationNamespaces=["there", "empty"])
    copy = record(
        dict(copy_template(wanted, source({"a": "1"})).labels),
        {
            **copy_template(wanted, source({"a": "1"})).annotations,
            "apps.nishaf.info/destination": "there/config",
        },
        data={"a": "1"},
    )
    return observe(
        sync=wanted,
        selector=Selector.of(wanted, frozenset()),
        source=read_source(raw),
        copies=(copy,),
        copy_at=lambda key: copy if key == copy.key else None,
        namespaces={name: Namespace(name, {}) for name in ("there", "empty", "home")},
        is_living=lambda _uid: True,
        blocker_at=lambda _key: None,
    )


def test_a_source_with_too_many_keys_is_not_copied_and_its_copies_stay() -> None:
    seen = observed(config_map(MOST_SOURCE_KEYS, binaryData={"one-more": ""}))
    planned = plan(seen)

    assert is_empty(planned)
    assert planned.finalizer
    assert planned.verdict is not None
    assert planned.verdict.reason is Reason.TOO_LARGE
    assert "16385 keys" in planned.verdict.message
    assert "at most 16384" in planned.verdict.message
    made = status(report(source=seen.source, verdict=planned.verdict), NOW)
    assert {condition.reason for condition in made.conditions or ()} >= {Reason.TOO_LARGE}


def test_it_is_copied_once_it_has_shrunk() -> None:
    planned = plan(observed(config_map(MOST_SOURCE_KEYS)))

    assert planned.verdict is None
    assert {write.key for write in planned.writes} == {
        NamespacedName("there", "config"),
        NamespacedName("empty", "config"),
    }


def test_the_keys_of_a_source_with_too_many_are_dropped_where_it_is_read() -> None:
    read = read_source(config_map(190_000, immutable=True))

    assert read.too_many_keys == 190_000
    assert read.content == Content({}, {}, immutable=True)


@pytest.mark.parametrize("immutable", [False, True])
def test_the_digest_of_a_copy_with_too_many_keys_is_that_of_no_template(immutable: bool) -> None:
    forged = read_copy(config_map(190_000, immutable=immutable))

    assert forged.digest == TOO_MANY_KEYS
    largest_template = MOST_SOURCE_KEYS + MOST_KEYS  # each entry of spec.keys adds at most one key
    names = {str(number): "" for number in range(largest_template)}
    assert digest(Content(names, {}, immutable)) != TOO_MANY_KEYS


@pytest.mark.parametrize("value", ["", ":", 'x":"y', "\\"])
def test_keys_beyond_the_limit_are_counted_and_not_decoded(value: str) -> None:
    keys = {format(number, "x"): value for number in range(MOST_HASHED_KEYS + 1)}
    metadata = {"name": "config", "namespace": "home", "uid": "u", "resourceVersion": "5"}
    raw = msgspec.json.encode({"metadata": metadata, "data": keys})

    assert read_copy(raw).digest == TOO_MANY_KEYS
    source = read_source(raw)
    assert source.too_many_keys == MOST_HASHED_KEYS + 1
    assert source.content.data == {}


@pytest.mark.parametrize("value", ["", ":", 'x":"y', "\\", '":"":"'])
def test_values_that_look_like_separators_are_read_as_they_are(value: str) -> None:
    metadata = {"name": "config", "namespace": "home", "uid": "u", "resourceVersion": "5"}
    raw = msgspec.json.encode({"metadata": metadata, "data": {"a": value, "b": value}})

    assert read_source(raw).content.data == {"a": value, "b": value}
