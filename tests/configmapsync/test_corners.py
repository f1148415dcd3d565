"""Check rare inputs for which the right answer was measured on a real API server."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.defaulting import default_document, with_defaults
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.validation import validate
from tests.configmapsync.objects import document


def complaints(**spec: Any) -> list[str]:
    try:
        return [
            str(error)
            for error in validate(with_defaults(parse(document(destinationNamespace="a", **spec))))
        ]
    except InvalidResourceError as refusal:
        return [str(error) for error in refusal.errors]


@pytest.mark.parametrize("field", ["sourceNamespace", "destinationConfigMapName"])
@pytest.mark.parametrize("value", [False, 0, [], {}])
def test_a_value_of_the_wrong_type_is_refused_and_never_replaced_by_a_default(
    field: str, value: Any
) -> None:
    defaulted = default_document({"configMapName": "config", field: value})

    assert defaulted[field] == value
    assert complaints(**{field: value})


def test_an_empty_text_means_unset_where_a_default_is_derived() -> None:
    said = default_document(
        {"configMapName": "config", "sourceNamespace": "", "destinationConfigMapName": ""}
    )

    assert said.keys() == {
        "configMapName",
        "conflictPolicy",
        "deletionPolicy",
        "sourceDeletionPolicy",
    }
    assert default_document({"destinationNamespace": ""})["destinationNamespace"] == ""


def is_config_map_key(key: str) -> bool:
    """Return whether an API server accepts a key of `data`."""
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")
    return 0 < len(key) <= 253 and set(key) <= letters and key != "." and not key.startswith("..")


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=".a-_*\n/", max_size=5))
def test_a_key_is_renamed_only_to_a_key_that_the_api_server_accepts(key: str) -> None:
    refused = [
        text
        for text in complaints(keys=[{"key": "a", "as": key}])
        if text.startswith("spec.keys[0].as: ")
    ]

    assert bool(refused) != is_config_map_key(key)


def test_annotations_that_no_object_can_hold_are_refused() -> None:
    def annotations(last: int) -> dict[str, Any]:
        return {
            "annotations": {f"k{number}": "x" * 65534 for number in range(3)} | {"k3": "x" * last}
        }

    assert complaints(metadata=annotations(65534)) == []
    assert complaints(metadata=annotations(65535)) == [
        "spec.metadata.annotations: Too long: may not be more than 262144 bytes"
    ]


@pytest.mark.parametrize("metadata", [[], "text", 1])
def test_metadata_that_is_no_object_is_a_value_error(metadata: Any) -> None:
    with pytest.raises(ValueError, match="the metadata of a resource is an object"):
        parse({"metadata": metadata})
