"""Ownership of fields after writes, as measured on kube-apiserver v1.36.2."""

import json
from typing import Any

import pytest

from devcluster.errors import ApiStatus
from devcluster.fields import apply, track
from devcluster.schema.kinds import BUILT_IN
from harness.applying import CUSTOM, custom

CONFIGMAP = next(kind.type for kind in BUILT_IN if kind.kind == "ConfigMap")
assert CONFIGMAP is not None
Document = dict[str, Any]


def configmap(data: Document | None = None, **metadata: Any) -> Document:
    document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}}
    return document if data is None else {**document, "data": data}


class Writes:
    """An object through a sequence of writes, a second apart."""

    def __init__(self, types: Any) -> None:
        self.types = types
        self.object: Document | None = None
        self._seconds = 0

    def apply(
        self, manager: str, document: Document, *, force: bool = False, subresource: str = ""
    ) -> Document:
        self.object = apply(
            self.object, document, manager, force, self.types, self._now(), subresource
        )
        return self.object

    def update(self, manager: str, document: Document) -> Document:
        if self.object is not None and "managedFields" in self.object["metadata"]:
            document["metadata"].setdefault(
                "managedFields", self.object["metadata"]["managedFields"]
            )
        self.object = track(self.object, document, manager, self.types, self._now())
        return self.object

    def owned(self, manager: str) -> Any:
        """The fields of a manager; None for one who owns nothing."""
        assert self.object is not None
        entries = self.object["metadata"].get("managedFields", [])
        return next((entry["fieldsV1"] for entry in entries if entry["manager"] == manager), None)

    def _now(self) -> str:
        self._seconds += 1
        return f"2026-01-01T00:00:{self._seconds:02d}Z"


@pytest.fixture
def writes() -> Writes:
    return Writes(CONFIGMAP)


def test_who_applies_owns_what_was_said_and_no_more(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1", "b": "2"}, labels={"l": "x"}))

    assert writes.owned("one") == {
        "f:data": {"f:a": {}, "f:b": {}},
        "f:metadata": {"f:labels": {"f:l": {}}},
    }


def test_who_updates_owns_the_containers_too(writes: Writes) -> None:
    writes.update("kubectl", configmap({"a": "1"}, finalizers=["a.b/c"], annotations={"n": "o"}))

    assert writes.owned("kubectl") == {
        "f:data": {".": {}, "f:a": {}},
        "f:metadata": {
            "f:annotations": {".": {}, "f:n": {}},
            "f:finalizers": {".": {}, 'v:"a.b/c"': {}},
        },
    }


def test_the_same_apply_again_changes_nothing_at_all(writes: Writes) -> None:
    first = writes.apply("one", configmap({"a": "1"}))

    assert writes.apply("one", configmap({"a": "1"})) == first


def test_two_may_own_one_field_as_long_as_they_agree(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1", "b": "2"}))
    result = writes.apply("two", configmap({"b": "2", "c": "3"}))

    assert result["data"] == {"a": "1", "b": "2", "c": "3"}
    assert writes.owned("two") == {"f:data": {"f:b": {}, "f:c": {}}}


def test_a_conflict_names_everybody_and_every_field(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1"}))
    writes.update("other", configmap({"a": "1", "c": "3"}))

    with pytest.raises(ApiStatus) as single:
        writes.apply("two", configmap({"a": "stolen"}))
    with pytest.raises(ApiStatus) as both:
        writes.apply("two", configmap({"a": "stolen", "c": "stolen"}))

    assert single.value.message == 'Apply failed with 1 conflict: conflict with "one": .data.a'
    assert both.value.code == 409
    assert both.value.message == (
        'Apply failed with 2 conflicts: conflicts with "one":\n- .data.a\nconflicts with '
        '"other" using v1:\n- .data.c'
    )
    assert both.value.details == {
        "causes": [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "one"',
                "field": ".data.a",
            },
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "other" using v1',
                "field": ".data.c",
            },
        ]
    }


def test_force_takes_the_field_and_its_owner_loses_it(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1", "b": "2"}))
    result = writes.apply("two", configmap({"a": "stolen"}), force=True)

    assert result["data"] == {"a": "stolen", "b": "2"}
    assert writes.owned("one") == {"f:data": {"f:b": {}}}


def test_what_is_no_longer_applied_goes_unless_somebody_else_owns_it(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1", "b": "2"}, labels={"l": "x"}))
    writes.apply("two", configmap({"b": "2", "c": "3"}))

    result = writes.apply("one", configmap())

    assert result["data"] == {"b": "2", "c": "3"}
    assert "labels" not in result["metadata"]
    assert writes.owned("one") is None


def test_whoever_updates_a_field_takes_it(writes: Writes) -> None:
    writes.apply("one", configmap({"a": "1", "b": "2"}))
    writes.update("two", configmap({"a": "9"}))

    assert writes.owned("one") is None
    assert writes.owned("two") == {"f:data": {"f:a": {}}}


def test_owner_references_are_owned_one_by_one_and_each_as_a_whole(writes: Writes) -> None:
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "123"}
    writes.apply("one", configmap(ownerReferences=[owner]))

    assert writes.owned("one") == {"f:metadata": {"f:ownerReferences": {'k:{"uid":"123"}': {}}}}


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({**configmap(), "nope": 1}, ".nope: field not declared in schema"),
        (configmap({"a": 5}), ".data.a: expected string, got &value.valueUnstructured{Value:5}"),
    ],
)
def test_what_does_not_fit_the_types_is_refused(
    writes: Writes, document: Document, problem: str
) -> None:
    with pytest.raises(ApiStatus) as refused:
        writes.apply("one", document)

    assert refused.value.code == 500
    assert (
        refused.value.message
        == f"failed to create typed patch object (/a; /v1, Kind=ConfigMap): {problem}"
    )


def test_kubectl_may_take_over_what_it_has_applied_from_the_clients_side(writes: Writes) -> None:
    annotation = "kubectl.kubernetes.io/last-applied-configuration"
    applied = json.dumps(configmap({"a": "1"}))
    writes.update(
        "kubectl-client-side-apply",
        configmap({"a": "1", "b": "2"}, annotations={annotation: applied}),
    )

    with pytest.raises(ApiStatus):
        writes.apply("somebody", configmap({"a": "9"}))
    with pytest.raises(ApiStatus):
        writes.apply("kubectl", configmap({"b": "9"}))
    result = writes.apply("kubectl", configmap({"a": "9"}))

    assert result["data"]["a"] == "9"
    assert json.loads(result["metadata"]["annotations"][annotation]) == configmap({"a": "9"})


def test_lists_merge_as_their_schema_says() -> None:
    writes = Writes(CUSTOM)
    live = {
        "list": ["a"],
        "set": ["x", "y"],
        "keyed": [{"k": "1", "v": 1}, {"k": "2", "v": 2}],
        "any": {"q": {"w": [1]}},
    }
    writes.update("k", custom(live))

    result = writes.apply(
        "one",
        custom(
            {
                "list": ["b"],
                "set": ["z", "x"],
                "keyed": [{"k": "3", "v": 3}, {"k": "1"}],
                "any": {"q": {"e": 2}},
            }
        ),
        force=True,
    )

    assert result["spec"]["list"] == ["b"]
    assert sorted(result["spec"]["set"]) == ["x", "y", "z"]
    assert {item["k"]: item["v"] for item in result["spec"]["keyed"]} == {"1": 1, "2": 2, "3": 3}
    assert result["spec"]["any"] == {"q": {"w": [1], "e": 2}}
    assert writes.owned("one")["f:spec"]["f:keyed"] == {
        'k:{"k":"1"}': {".": {}, "f:k": {}},
        'k:{"k":"3"}': {".": {}, "f:k": {}, "f:v": {}},
    }


def test_through_a_subresource_only_it_is_applied_and_the_conflict_says_so() -> None:
    writes = Writes(CUSTOM)
    writes.apply("user", custom({"name": "a"}))
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    writes.apply("operator", custom({"name": "ignored"}, ready), subresource="status")

    with pytest.raises(ApiStatus) as refused:
        writes.apply(
            "other",
            custom(status={"conditions": [{"type": "Ready", "status": "False"}]}),
            subresource="status",
        )

    assert writes.object is not None
    assert writes.object["spec"] == {"name": "a"}
    assert refused.value.message == (
        'Apply failed with 1 conflict: conflict with "operator" with subresource "status": '
        '.status.conditions[type="Ready"].status'
    )
