"""Check path, kind and words of the error for each value of a wrong type."""

from typing import Any

import pytest

from configmapsync.fielderrors import ErrorKind
from configmapsync.names import ADOPTED
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.spec import ConfigMapSyncSpec
from configmapsync.validation import validate


def refused(spec: Any) -> dict[str, ErrorKind]:
    """Return path and kind of the error of a spec."""
    with pytest.raises(InvalidResourceError) as caught:
        parse({"metadata": {"name": "sync", "namespace": "home"}, "spec": spec})
    return {error.path: error.kind for error in caught.value.errors}


@pytest.mark.parametrize(
    "name", [name for name, field in ConfigMapSyncSpec.model_fields.items() if field.alias != name]
)
def test_a_field_has_only_its_camel_case_name(name: str) -> None:
    assert refused({"configMapName": "config", name: "x"}) == {f"spec.{name}": ErrorKind.FORBIDDEN}


@pytest.mark.parametrize(
    ("spec", "path", "kind"),
    [
        ({}, "spec.configMapName", ErrorKind.REQUIRED),
        ("text", "spec", ErrorKind.TYPE_INVALID),
        (["list"], "spec", ErrorKind.TYPE_INVALID),
        ({"configMapName": 5}, "spec.configMapName", ErrorKind.TYPE_INVALID),
        ({"configMapName": "x" * 254}, "spec.configMapName", ErrorKind.TOO_LONG),
        ({"configMapName": "a..b"}, "spec.configMapName", ErrorKind.INVALID),
        ({"configMapName": "a\n"}, "spec.configMapName", ErrorKind.INVALID),
        ({"configMapName": "a", "suspend": 1}, "spec.suspend", ErrorKind.TYPE_INVALID),
        ({"configMapName": "a", "keys": [{}]}, "spec.keys[0].key", ErrorKind.REQUIRED),
        (
            {"configMapName": "a", "keys": [{"key": "a", "as_": "b"}]},
            "spec.keys[0].as_",
            ErrorKind.FORBIDDEN,
        ),
        (
            {"configMapName": "a", "keys": [{"key": "a", "as": "b*"}]},
            "spec.keys[0].as",
            ErrorKind.INVALID,
        ),
        ({"configMapName": "a", "keys": [None]}, "spec.keys[0]", ErrorKind.TYPE_INVALID),
        (
            {"configMapName": "a", "metadata": {"labels": {"k": 1}}},
            "spec.metadata.labels[k]",
            ErrorKind.TYPE_INVALID,
        ),
        (
            {"configMapName": "a", "metadata": {"labels": {"": "v"}}},
            "spec.metadata.labels[]",
            ErrorKind.INVALID,
        ),
        (
            {"configMapName": "a", "metadata": {"labels": "v"}},
            "spec.metadata.labels",
            ErrorKind.TYPE_INVALID,
        ),
        (
            {"configMapName": "a", "copyMetadata": {"labels": [1]}},
            "spec.copyMetadata.labels[0]",
            ErrorKind.TYPE_INVALID,
        ),
        (
            {
                "configMapName": "a",
                "destinationNamespaceSelector": {"matchLabels": {"k": "v" * 64}},
            },
            "spec.destinationNamespaceSelector.matchLabels[k]",
            ErrorKind.TOO_LONG,
        ),
        (
            {
                "configMapName": "a",
                "destinationNamespaceSelector": {
                    "matchExpressions": [{"key": "k", "operator": "="}]
                },
            },
            "spec.destinationNamespaceSelector.matchExpressions[0].operator",
            ErrorKind.NOT_SUPPORTED,
        ),
    ],
)
def test_a_value_of_a_wrong_type_is_rejected_with_its_path(
    spec: Any, path: str, kind: ErrorKind
) -> None:
    assert refused(spec) == {path: kind}


def test_a_mark_is_rejected_in_labels_and_in_annotations() -> None:
    both = {"labels": {ADOPTED: "true"}, "annotations": {ADOPTED: "true"}}
    sync = parse(
        {
            "metadata": {},
            "spec": {"configMapName": "a", "destinationNamespace": "b", "metadata": both},
        }
    )

    assert [error.path for error in validate(sync)] == [
        f"spec.metadata.labels[{ADOPTED}]",
        f"spec.metadata.annotations[{ADOPTED}]",
    ]
