"""Schema and models judge every field alike: each place of a full spec gets every kind of wrong value, and both are asked.

What a structural schema cannot tell is left out: unknown fields, which the API server prunes, and the syntax of label keys and values.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from configmapsync.crd import custom_resource_definition
from configmapsync.fielderrors import ErrorKind
from configmapsync.resource import InvalidResourceError, parse
from devcluster.schema.structural import StructuralSchema

SCHEMA = StructuralSchema(
    custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
)
FULL: dict[str, Any] = {
    "sourceNamespace": "home",
    "configMapName": "config",
    "destinationNamespace": "a",
    "destinationNamespaces": ["b", "team-*"],
    "destinationNamespaceSelector": {
        "matchLabels": {"k": "v"},
        "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}],
    },
    "excludedNamespaces": ["*-x"],
    "destinationConfigMapName": "copy",
    "keys": [{"key": "*.yaml"}, {"key": "a", "as": "b"}],
    "metadata": {"labels": {"l": "v"}, "annotations": {"n": "v"}},
    "copyMetadata": {"labels": ["l"], "annotations": ["n*"]},
    "conflictPolicy": "Fail",
    "deletionPolicy": "Delete",
    "sourceDeletionPolicy": "Retain",
    "serviceAccountName": "syncer",
    "suspend": False,
}
WRONG = [
    *("", "x" * 64, "x" * 254, "x" * 318, "x" * 65537, "A!", "é", "*", "a.b", "-"),
    *(
        5,
        1.5,
        True,
        [],
        {},
        [5],
        [{}],
        ["a"],
        ["x"] * 600,
        {"a": 5},
        {f"k{number}": "v" for number in range(65)},
    ),
]
RULES = {  # broken by a value whose shape is right: validation.py's, and held against the schema in test_crd.py
    ("keys", 1, "key"): ["*"],
    ("destinationNamespaceSelector", "matchExpressions", 0, "values"): [[]],
}

Place = tuple[str | int, ...]


def places(value: Any, here: Place = ()) -> Iterator[Place]:
    """Every place in a document but the root."""
    if here:
        yield here
    below = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for step, inner in below:
        yield from places(inner, (*here, step))


def with_value(place: Place, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(FULL)
    inner: Any = spec
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return spec


def refused_by_models(spec: dict[str, Any]) -> bool:
    try:
        parse({"metadata": {"name": "sync", "namespace": "home"}, "spec": spec})
    except InvalidResourceError as refusal:
        unknown_fields = {ErrorKind.FORBIDDEN, ErrorKind.OMITTED}  # the schema prunes them
        return any(error.kind not in unknown_fields for error in refusal.errors)
    return False


def refused_by_schema(spec: dict[str, Any]) -> bool:
    document = {
        "apiVersion": "apps.nishaf.info/v1",
        "kind": "ConfigMapSync",
        "metadata": {"name": "sync"},
        "spec": spec,
    }
    return bool(SCHEMA.validate(SCHEMA.default(SCHEMA.prune(document)[0])))


def test_both_take_the_full_spec() -> None:
    assert not refused_by_models(FULL)
    assert not refused_by_schema(FULL)


@pytest.mark.parametrize("place", list(places(FULL)), ids=lambda place: ".".join(map(str, place)))
def test_both_refuse_the_same_values(place: Place) -> None:
    values = [value for value in WRONG if value not in RULES.get(place, [])]
    verdicts = [
        (refused_by_models(spec), refused_by_schema(spec))
        for spec in (with_value(place, v) for v in values)
    ]

    assert [
        str(value)[:40]
        for value, (models, schema) in zip(values, verdicts, strict=True)
        if models != schema
    ] == []
    assert any(models for models, _ in verdicts)


@pytest.mark.parametrize("field", FULL)
def test_both_agree_on_what_is_required(field: str) -> None:
    spec = {name: value for name, value in FULL.items() if name != field}

    assert refused_by_models(spec) == refused_by_schema(spec) == (field == "configMapName")
