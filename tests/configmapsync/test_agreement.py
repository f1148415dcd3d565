"""Check that the schema and the models reject the same wrong values in each field.

What a structural schema cannot express is left out: unknown fields, which the API
server prunes, and the syntax of label keys and values.
"""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from configmapsync.crd import custom_resource_definition
from configmapsync.fielderrors import ErrorKind
from configmapsync.parsing import InvalidResourceError, parse
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
# Values of the right type that validation.py rejects; test_crd.py compares them with the schema.
RULES = {
    ("keys", 1, "key"): ["*"],
    ("destinationNamespaceSelector", "matchExpressions", 0, "values"): [[]],
}

Location = tuple[str | int, ...]


def locations(value: Any, here: Location = ()) -> Iterator[Location]:
    """Yield each location in a document except the root."""
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
        yield from locations(inner, (*here, step))


def with_value(location: Location, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(FULL)
    inner: Any = spec
    for step in location[:-1]:
        inner = inner[step]
    inner[location[-1]] = value
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


def test_both_accept_the_full_spec() -> None:
    assert not refused_by_models(FULL)
    assert not refused_by_schema(FULL)


@pytest.mark.parametrize(
    "location", list(locations(FULL)), ids=lambda location: ".".join(map(str, location))
)
def test_both_reject_the_same_values(location: Location) -> None:
    values = [value for value in WRONG if value not in RULES.get(location, [])]
    verdicts = [
        (refused_by_models(spec), refused_by_schema(spec))
        for spec in (with_value(location, v) for v in values)
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
