"""Check that the cost and the size of each answer are bounded for any spec."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import destination_paths, unmatched_patterns
from configmapsync.fielderrors import MOST_ERRORS, FieldError, invalid, limited, to_status
from configmapsync.parsing import InvalidResourceError, decode_metadata, decode_status, parse
from configmapsync.rendering import copy_template
from configmapsync.selection import Namespace, Selector
from configmapsync.validation import validate
from tests.configmapsync.objects import document, select, source, sync
from tests.support.cpu import cpu_seconds

LONGEST_ERROR = 1000  # characters: a path, a quoted value and a message
LARGEST_ANSWER = 64 * 1024

# Seconds of thread CPU time. Each case was measured at under 50 ms. The limit leaves room for a
# slow machine; earlier code took 0.4 s to 82 s.
MOST_SECONDS = 0.25


def refusal(spec: Any) -> list[str]:
    """Return all errors of a spec, after a check of their size."""
    whole = {"metadata": {"name": "sync", "namespace": "home"}, "spec": spec}
    try:
        errors = validate(with_defaults(parse(whole)))
    except InvalidResourceError as refused:
        errors = list(refused.errors)
    assert len(errors) <= MOST_ERRORS + 1
    assert all(len(str(error)) < LONGEST_ERROR for error in errors)
    assert len(json.dumps(to_status(errors, "sync"))) < LARGEST_ANSWER
    return [str(error) for error in errors]


def nested(levels: int) -> Any:
    inner: Any = []
    for _ in range(levels):
        inner = [inner]
    return inner


SELECTOR = "destinationNamespaceSelector"
HOSTILE: dict[str, Any] = {
    "1.5 million wrong entries": {"destinationNamespaces": [1] * 1_500_000},
    "1.5 million wrong keys": {"keys": [{}] * 1_500_000},
    "a million unknown fields": {f"x{number}": 0 for number in range(1_000_000)},
    "many lists of many lists": {"keys": [[[1] * 500] * 500] * 500},
    "32,768 wrong label values": {
        SELECTOR: {
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["a b"] * 480}] * 64
        }
    },
    "8,000 wrong label values": {
        SELECTOR: {
            "matchExpressions": [{"key": "k", "operator": "In", "values": ["a b"] * 500}] * 15
        }
    },
    "8,000 values of the wrong type": {
        SELECTOR: {"matchExpressions": [{"key": "k", "operator": "In", "values": [1] * 500}] * 15}
    },
    "a list instead of a spec": [1] * 1_500_000,
    "a text instead of a spec": "x" * 8_000_000,
    "a name of 8 MB": {"configMapName": "x" * 8_000_000},
    "an unknown field of 8 MB": {"x" * 8_000_000: 1},
    "a label key of 8 MB": {"metadata": {"labels": {"y" * 8_000_000: "a b"}}},
    "900 nested brackets": {"keys": nested(900)},
    "512 wrong exclusions": {"destinationNamespace": "a", "excludedNamespaces": ["A"] * 512},
    "512 exclusions quoted": {
        "destinationNamespace": "a",
        "excludedNamespaces": ["a", *[f"b{n}" for n in range(511)]],
    },
    "a long annotation key": {
        "destinationNamespace": "a",
        "metadata": {"annotations": {"_" * 317: "x" * 65536}},
    },
    "256 hostile globs": {
        "destinationNamespace": "a",
        "keys": [{"key": "*a" * 126 + f"{n}"} for n in range(256)],
    },
    "64 hostile metadata globs": {
        "destinationNamespace": "a",
        "copyMetadata": {"labels": ["*a" * 150 + "b"] * 64},
    },
    "512 hostile exclusions": {
        "destinationNamespace": "a",
        "excludedNamespaces": ["a*" * 30 + f"{number}" for number in range(512)],
    },
}


@pytest.mark.parametrize("spec", [pytest.param(spec, id=name) for name, spec in HOSTILE.items()])
def test_a_hostile_spec_is_rejected_at_low_cost_and_with_a_short_message(spec: Any) -> None:
    answers: list[str] = []

    assert cpu_seconds(lambda: answers.extend(refusal(spec))) < MOST_SECONDS
    assert answers


def test_counts_come_before_contents_and_the_rest_is_counted() -> None:
    assert refusal({"destinationNamespaces": [1] * 513}) == [
        "spec.destinationNamespaces: Too many: 513: must have at most 512 items"
    ]
    assert refusal({"destinationNamespaces": ["A"] * 512})[-1] == "spec: More errors: and 493 more"
    assert limited([invalid("spec", 1, "x")] * 20) == (invalid("spec", 1, "x"),) * 20


def test_a_quoted_value_is_cut_and_a_short_one_is_not() -> None:
    assert str(invalid("spec", "é" * 500, "no")) == f'spec: Invalid value: "{"é" * 98}…: no'
    assert (
        str(invalid("spec", {"a": [1, 2.5, None, True]}, "no"))
        == 'spec: Invalid value: {"a": [1, 2.5, null, true]}: no'
    )
    assert len(str(invalid("spec", 10**5000, "no"))) < LONGEST_ERROR
    str(invalid("spec", "\ud800", "no")).encode()


@pytest.mark.parametrize("levels", [10, 900, 100_000])
@pytest.mark.parametrize("text", ["{}", '{{"name": null, "labels": {}}}'])
def test_deeply_nested_metadata_is_rejected(text: str, levels: int) -> None:
    raw = text.format("[" * levels + "]" * levels).encode()

    assert decode_status(raw) is None
    try:
        assert decode_metadata(raw).name == ""
    except ValueError as refused:
        assert len(str(refused)) < LONGEST_ERROR  # noqa: PT017 - unused fields may be read or not


@pytest.mark.parametrize("levels", [10, 900, 100_000])
def test_a_deeply_nested_spec_is_rejected(levels: int) -> None:
    inner: Any = []
    for _ in range(levels):
        inner = [inner]

    with pytest.raises(InvalidResourceError) as refused:
        parse(document(destinationNamespace="a", keys=inner))
    assert len(str(refused.value)) < LONGEST_ERROR


def test_managed_fields_are_not_decoded() -> None:
    inner: Any = {}
    for _ in range(5000):
        inner = {"f:x": inner}
    whole = document(destinationNamespace="a")
    whole["metadata"]["managedFields"] = [{"fieldsV1": inner}]

    assert parse(whole).key.name == "sync"


def test_a_wrong_status_or_finalizer_list_costs_little() -> None:
    def read() -> None:
        assert decode_status(b'{"conditions": [%s1]}' % (b"1," * 1_000_000)) is None
        assert decode_status(b'{"failures": [%s{}]}' % (b"{}," * 1_000_000)) is None
        with pytest.raises(ValueError, match="finalizers"):
            parse({"metadata": {"finalizers": [1] * 1_000_000}, "spec": {}})

    assert cpu_seconds(read) < MOST_SECONDS


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=40), inner, max_size=30)
    ),
    max_leaves=60,
)
field_names = st.sampled_from(tuple(parse(document()).spec.model_dump(by_alias=True)))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(field_names, json_values, max_size=5) | json_values,
    st.dictionaries(
        st.sampled_from(("name", "uid", "finalizers", "creationTimestamp", "generation")),
        json_values,
    ),
)
def test_any_json_is_read_or_refused_with_few_short_errors(spec: Any, metadata: Any) -> None:
    errors: tuple[FieldError, ...] = ()
    try:
        errors = tuple(validate(with_defaults(parse({"metadata": metadata, "spec": spec}))))
    except InvalidResourceError as refused:
        errors = refused.errors
        assert errors
    except ValueError:
        assert metadata
    assert len(errors) <= MOST_ERRORS + 1
    assert all(len(str(error)) < LONGEST_ERROR for error in errors)
    assert len(json.dumps(to_status(errors, "s"))) < LARGEST_ANSWER


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_text_is_read_or_refused(text: bytes) -> None:
    decode_status(text)
    with contextlib.suppress(ValueError):
        decode_metadata(text)


# The largest valid spec, and the largest objects to match it with.

NAMES = [f"n{number:03}" + "x" * 59 for number in range(511)]
EXCLUSIONS = [
    *[f"n{number:03}y*" for number in range(248)],
    *[f"*x{number:03}" for number in range(248)],
    *["*x" * 31 + "y" for _ in range(1)],
    *[f"n*{'x' * 29}y{'x' * 29}{number}" for number in range(6)],
]
NAMESPACES = {
    name: Namespace(name, {"a": "b"})
    for name in (f"n{number:04}" + "x" * 58 for number in range(5000))
}


def test_names_and_exclusions_at_their_largest_are_validated_cheaply() -> None:
    whole = document(destinationNamespaces=NAMES, excludedNamespaces=EXCLUSIONS)

    def check() -> None:
        one = with_defaults(parse(whole))
        assert validate(one) == []
        assert len(destination_paths(one, Selector.of(one, frozenset())).named) == len(NAMES)

    assert cpu_seconds(check) < MOST_SECONDS


def test_a_selection_at_its_largest_is_made_cheaply() -> None:
    requirement = {
        "key": "a",
        "operator": "In",
        "values": ["b", *[f"v{number}" for number in range(120)]],
    }
    one = sync(
        destinationNamespaces=["*"],
        excludedNamespaces=EXCLUSIONS,
        destinationNamespaceSelector={"matchExpressions": [requirement] * 60},
    )
    found: list[str] = []

    assert (
        cpu_seconds(
            lambda: found.extend(select(Selector.of(one, frozenset()), NAMESPACES).selected)
        )
        < 2 * MOST_SECONDS
    )
    assert len(found) == len(NAMESPACES)


def test_many_globs_that_select_nothing_are_found_cheaply() -> None:
    one = sync(
        destinationNamespaces=[
            *[f"m{number}*" for number in range(490)],
            *[f"q*{n}*z" for n in range(22)],
        ]
    )
    selector = Selector.of(one, frozenset())
    paths = destination_paths(one, selector)
    found: list[tuple[str, str]] = []

    assert (
        cpu_seconds(lambda: found.extend(unmatched_patterns(paths, selector, NAMESPACES)))
        < MOST_SECONDS
    )
    assert len(found) == 512


@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(
            ["*a" * 60 + "b", "*" + "a?" * 60, *[f"*{'a' * 40}b{'a' * 40}{n}*" for n in range(3)]],
            id="general",
        ),
        pytest.param([f"{'a' * 100}{n:03}b*" for n in range(256)], id="prefixes"),
        pytest.param([f"*{n:03}c{'0' * 100}" for n in range(256)], id="suffixes"),
    ],
)
@pytest.mark.parametrize(("count", "length"), [(8000, 128), (4000, 253)])
def test_a_template_of_the_largest_source_is_made_cheaply(
    patterns: list[str], count: int, length: int
) -> None:
    data = {"a" * (length - 8) + f"{number:08}": "" for number in range(count)}
    one = sync(keys=[{"key": pattern} for pattern in patterns])
    allowed = sync(copyMetadata={"labels": patterns[:64], "annotations": patterns[:64]})

    assert cpu_seconds(lambda: copy_template(one, source(data))) < MOST_SECONDS
    assert (
        cpu_seconds(lambda: copy_template(allowed, source(labels=data, annotations=data)))
        < 2 * MOST_SECONDS
    )
