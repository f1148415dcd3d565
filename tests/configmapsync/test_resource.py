"""Check how a sync is parsed, defaulted and validated, and the words of its errors."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmapsync.defaulting import default_document, with_defaults
from configmapsync.fielderrors import (
    ErrorKind,
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
    to_status,
)
from configmapsync.parsing import (
    InvalidResourceError,
    decode_metadata,
    decode_status,
    parse,
    read_metadata,
)
from configmapsync.resource import ObjectMeta
from configmapsync.status import ConfigMapSyncStatus
from configmapsync.validation import validate
from tests.configmapsync.objects import document, read_status, stored_status, sync


def complaints(**spec: Any) -> list[str]:
    """Return all errors of a spec."""
    try:
        return [str(error) for error in validate(with_defaults(parse(document(**spec))))]
    except InvalidResourceError as invalid_resource:
        return [str(error) for error in invalid_resource.errors]


LABEL_WORDS = "a lowercase RFC 1123 label must consist of"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec.destinationNamespace: Required value: at least one of"),
        (
            {"configMapName": None, "destinationNamespace": "a"},
            "spec.configMapName: Required value",
        ),
        (
            {"destinationNamespace": "A_b"},
            f'spec.destinationNamespace: Invalid value: "A_b": {LABEL_WORDS}',
        ),
        (
            {"destinationNamespace": "a" * 64},
            "spec.destinationNamespace: Too long: may not be more than 63 bytes",
        ),
        (
            {"destinationNamespace": ""},
            'spec.destinationNamespace: Invalid value: "": should be at least 1 chars long',
        ),
        (
            {"destinationNamespaces": ["ok", "-"]},
            'spec.destinationNamespaces[1]: Invalid value: "-": a namespace pattern',
        ),
        (
            {"destinationNamespaces": "a"},
            'spec.destinationNamespaces: Invalid value: "a": must be of type array',
        ),
        (
            {"destinationNamespaces": ["x"] * 513},
            "spec.destinationNamespaces: Too many: 513: must have at most 512 items",
        ),
        ({"destinationNamespace": "a", "nonsense": 1}, "spec.nonsense: Forbidden: unknown field"),
        (
            {"destinationNamespace": "a", "suspend": "yes"},
            'spec.suspend: Invalid value: "yes": must be of type boolean',
        ),
        (
            {"destinationNamespace": "a", "conflictPolicy": "Foo"},
            'spec.conflictPolicy: Unsupported value: "Foo": supported values: "Fail", "Adopt"',
        ),
        (
            {"destinationNamespace": "a", "destinationConfigMapName": "kube-root-ca.crt"},
            (
                'spec.destinationConfigMapName: Forbidden: ConfigMap "kube-root-ca.crt" '
                "is written into every namespace"
            ),
        ),
        (
            {"destinationNamespace": "a", "keys": [{"key": "*", "as": "b"}]},
            "spec.keys[0].as: Forbidden: may only be set where key is an exact key",
        ),
        (
            {"destinationNamespace": "a", "keys": [{"key": "x"}, {"key": "y", "as": "x"}]},
            'spec.keys[1].as: Duplicate value: "x"',
        ),
        (
            {"destinationNamespace": "a", "keys": [{"key": "x", "as": "y"}, {"key": "y"}]},
            'spec.keys[1].key: Duplicate value: "y"',
        ),
        (
            {"destinationNamespace": "a", "metadata": {"labels": {"bad key": "v"}}},
            'spec.metadata.labels[bad key]: Invalid value: "bad key": name part must consist of',
        ),
        (
            {"destinationNamespace": "a", "metadata": {"labels": {"k": "bad value"}}},
            (
                'spec.metadata.labels[k]: Invalid value: "bad value": '
                "a valid label must be an empty string or consist of"
            ),
        ),
        (
            {"destinationNamespace": "a", "metadata": {"annotations": {"UPPER/x": "v"}}},
            'spec.metadata.annotations[UPPER/x]: Invalid value: "UPPER/x": prefix part',
        ),
        (
            {"destinationNamespace": "a", "metadata": {"annotations": {"x" * 64: "v"}}},
            "name part must be no more than 63 bytes",
        ),
        (
            {
                "destinationNamespace": "a",
                "metadata": {"labels": {"apps.nishaf.info/sync-uid": "v"}},
            },
            "spec.metadata.labels[apps.nishaf.info/sync-uid]: Forbidden: is one of the marks",
        ),
        (
            {
                "destinationNamespace": "a",
                "metadata": {"annotations": {"apps.nishaf.info/new": "v"}},
            },
            "spec.metadata.annotations[apps.nishaf.info/new]: Forbidden: is one of the marks",
        ),
        (
            {"destinationNamespace": "a", "configMapName": "kube-root-ca.crt"},
            (
                'spec.configMapName: Forbidden: ConfigMap "kube-root-ca.crt" '
                "is written into every namespace"
            ),
        ),
        (
            {"destinationNamespace": "a", "copyMetadata": {"labels": ["a b"]}},
            'spec.copyMetadata.labels[0]: Invalid value: "a b": must be a key, or a glob',
        ),
        (
            {
                "destinationNamespaceSelector": {
                    "matchExpressions": [{"key": "a", "operator": "In"}]
                }
            },
            "spec.destinationNamespaceSelector.matchExpressions[0].values: Required value",
        ),
        (
            {
                "destinationNamespaceSelector": {
                    "matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]
                }
            },
            "spec.destinationNamespaceSelector.matchExpressions[0].values: Forbidden",
        ),
        (
            {
                "destinationNamespaceSelector": {
                    "matchExpressions": [{"key": "a", "operator": "In", "values": ["b c"]}]
                }
            },
            "spec.destinationNamespaceSelector.matchExpressions[0].values[0]: Invalid value",
        ),
        (
            {"destinationNamespace": "a", "excludedNamespaces": ["a"]},
            'spec.excludedNamespaces: Invalid value: ["a"]: excludes every destination',
        ),
        (
            {"destinationNamespaces": ["x-*"], "excludedNamespaces": ["*"]},
            "excludes every destination",
        ),
    ],
)
def test_each_error_has_its_path_and_the_words_of_kubernetes(
    spec: dict[str, Any], expected: str
) -> None:
    assert any(
        complaint.startswith(expected) or expected in complaint for complaint in complaints(**spec)
    ), complaints(**spec)


def test_all_errors_are_returned() -> None:
    assert (
        len(
            complaints(
                destinationNamespace="A",
                destinationNamespaces=["-"],
                conflictPolicy="x",
                nonsense=1,
            )
        )
        == 4
    )


def test_paths_point_into_the_list_that_the_user_wrote() -> None:
    keys = [{"key": "x"}, {"key": "x"}, {"key": "y", "as": "z"}, {"key": "z"}]

    assert complaints(destinationNamespaces=["z", "b", "-", "b"]) == complaints(
        destinationNamespaces=["z", "b", "-", "b"], excludedNamespaces=["q", "a", "a"]
    )
    assert complaints(destinationNamespaces=["z", "b", "-", "b"])[0].startswith(
        "spec.destinationNamespaces[2]: "
    )
    assert complaints(destinationNamespace="a", keys=keys) == [
        'spec.keys[3].key: Duplicate value: "z"'
    ]


def test_globs_that_are_expensive_to_match_are_limited_in_every_list() -> None:
    fine, much = ["a*b*" * 12] * 5, [f"{number:02}*b{'a' * 48}" for number in range(11)]
    words = (
        "Too long: globs with ?, or with * elsewhere than at one end, "
        "may have 512 characters together"
    )

    for spec in (
        lambda globs: {"destinationNamespaces": globs},
        lambda globs: {"destinationNamespace": "a", "excludedNamespaces": globs},
        lambda globs: {"destinationNamespace": "a", "keys": [{"key": glob} for glob in globs]},
        lambda globs: {"destinationNamespace": "a", "copyMetadata": {"labels": globs}},
        lambda globs: {"destinationNamespace": "a", "copyMetadata": {"annotations": globs}},
    ):
        assert complaints(**spec(fine)) == []
        (complaint,) = complaints(**spec(much))
        assert complaint.endswith(words)


def test_exclusion_of_some_is_fine() -> None:
    assert complaints(destinationNamespaces=["a", "b"], excludedNamespaces=["a"]) == []
    assert complaints(destinationNamespaces=["x-*"], excludedNamespaces=["x-1"]) == []


def test_the_three_original_fields_are_a_valid_spec() -> None:
    assert (
        complaints(sourceNamespace="config-central", destinationNamespace="my-app-namespace") == []
    )


def test_null_means_unset() -> None:
    assert (
        parse(document(destinationNamespace="a", keys=None, sourceNamespace=None)).spec.keys == ()
    )


def test_unknown_metadata_and_a_broken_status_never_make_a_resource_unreadable() -> None:
    broken = {**document(destinationNamespace="a"), "status": {"conditions": "none"}}
    broken["metadata"]["managedFields"] = [{}]

    assert parse(broken).key.name == "sync"


def test_an_invalid_spec_is_an_error_with_the_field() -> None:
    with pytest.raises(InvalidResourceError, match=r"spec\.nonsense"):
        parse(document(nonsense=True))


def test_times_have_whole_seconds_so_that_they_are_equal_when_read_back() -> None:
    status = ConfigMapSyncStatus(last_sync_time=datetime(2026, 1, 1, 12, 0, 0, 999, tzinfo=UTC))

    assert read_status(stored_status(status)) == status
    assert stored_status(status) == {
        "conditions": [],
        "failures": [],
        "lastSyncTime": "2026-01-01T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-01T12:00:00Z", "2026-01-01T12:00:00Z"),
        ("2026-01-01T12:00:00.999Z", "2026-01-01T12:00:00Z"),
        ("2026-01-01T01:30:00.5-10:30", "2026-01-01T12:00:00Z"),
        ("2026-01-01T12:00:00", None),  # of no zone
        ("0001-01-01T00:00:00+14:00", None),  # before the first day of the calendar
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_read_in_utc_with_whole_seconds_or_not_at_all(
    text: str, stored: str | None
) -> None:
    status = {"lastSyncTime": text}
    metadata = {"name": "a", "creationTimestamp": text, "deletionTimestamp": text}

    read = read_status(status)
    assert (read and stored_status(read).get("lastSyncTime")) == stored
    for read_as in (read_metadata, lambda document: decode_metadata(msgspec.json.encode(document))):
        if stored is None:
            with pytest.raises(ValueError, match=r"."):
                read_as(metadata)
        else:
            times = msgspec.to_builtins(read_as(metadata))
            assert (times["creationTimestamp"], times["deletionTimestamp"]) == (stored, stored)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"{ }",
        b"[]",
        b"7",
        b'{"conditions": [{"type": "Ready"}]}',
        b'{"conditions": "none"}',
        b'{"summary": "\xff"}',
        b'{"summary": "\\ud800"}',
        b'{"other": ' + b"[" * 100_000,
        b'{"destinations": {"desired": "many"}}',
        b'{"lastSyncTime": 1767225600}',
    ],
)
def test_an_empty_or_unreadable_status_is_no_status(raw: bytes) -> None:
    assert decode_status(raw) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"name": 5}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"finalizers": "none"}',
        b'{"generation": "x"}',
        b'{"labels": ' + b"[" * 100_000,
    ],
)
def test_unreadable_metadata_is_an_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode_metadata(raw)


def test_a_null_in_the_metadata_means_unset() -> None:
    text = b'{"name": "a", "namespace": null, "finalizers": null, "creationTimestamp": null}'

    assert decode_metadata(text) == read_metadata(json.loads(text)) == ObjectMeta(name="a")


def test_half_a_character_is_no_text() -> None:
    half = "\ud800"

    with pytest.raises(ValueError, match="surrogates"):
        read_metadata({"name": half})


words = st.sampled_from(("a", "b", "team-*", "web"))
specs = st.fixed_dictionaries(
    {"destinationNamespaces": st.lists(words, min_size=1, max_size=5)},
    optional={
        "sourceNamespace": st.sampled_from(("x", "y")),
        "destinationConfigMapName": st.sampled_from(("x", "y")),
        "excludedNamespaces": st.lists(words, max_size=3),
        "deletionPolicy": st.sampled_from(("Delete", "Orphan")),
    },
)


@settings(max_examples=150, deadline=None)
@given(specs)
def test_a_second_pass_of_defaulting_changes_nothing(spec: dict[str, Any]) -> None:
    once = with_defaults(parse(document(**spec)))

    assert with_defaults(once) == once
    stored = default_document({"configMapName": "config", **spec})
    assert default_document(stored) == stored
    assert with_defaults(parse(document(**stored))) == once
    assert {field: stored[field] for field in spec} == spec


def test_defaulting_leaves_what_it_cannot_read_as_it_is() -> None:
    assert default_document({"destinationNamespaces": 5}) == {
        "destinationNamespaces": 5,
        "conflictPolicy": "Fail",
        "deletionPolicy": "Delete",
        "sourceDeletionPolicy": "Retain",
    }


def test_a_derived_default_follows_the_field_that_it_is_derived_from() -> None:
    stored = default_document({"configMapName": "config-1", "destinationNamespace": "a"})

    renamed = with_defaults(parse(document(**stored | {"configMapName": "config-2"})))

    assert (renamed.source.name, renamed.destination_name) == ("config-2", "config-2")


def test_what_is_derived_from_a_spec() -> None:
    one = sync(sourceNamespace="central", destinationConfigMapName="copy")

    assert (str(one.key), str(one.source), one.destination_name, one.deleting) == (
        "home/sync",
        "central/config",
        "copy",
        False,
    )
    bare = parse(document(destinationNamespace="a"))
    assert (str(bare.source), bare.destination_name) == ("home/config", "config")


def test_field_errors_read_like_those_of_kubernetes() -> None:
    assert str(required("spec.a")) == "spec.a: Required value"
    assert str(invalid("spec.a", ["x"], "why")) == 'spec.a: Invalid value: ["x"]: why'
    assert str(FieldError("spec.a", ErrorKind.NOT_FOUND, "x")) == 'spec.a: Not found: "x"'
    assert str(FieldError("spec.a", ErrorKind.DUPLICATE, "x")) == 'spec.a: Duplicate value: "x"'
    assert str(forbidden("spec.a", "why")) == "spec.a: Forbidden: why"
    assert (
        str(not_supported("spec.a", "x", ["y", "z"]))
        == 'spec.a: Unsupported value: "x": supported values: "y", "z"'
    )


def test_a_status_of_several_errors_lists_them_as_the_api_server_does() -> None:
    status = to_status(
        [required("spec.a"), FieldError("spec.b", ErrorKind.TOO_LONG, detail="x")],
        "s",
    )

    assert (
        status["message"] == 'ConfigMapSync.apps.nishaf.info "s" is invalid: '
        "[spec.a: Required value, spec.b: Too long: x]"
    )
    assert [cause["field"] for cause in status["details"]["causes"]] == ["spec.a", "spec.b"]
    assert to_status([required("spec.a")], "s")["message"].endswith(
        "is invalid: spec.a: Required value"
    )
