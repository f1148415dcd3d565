"""Rules in CEL. Every expectation was measured on kube-apiserver v1.36.2."""

from typing import Any

import pytest

from devcluster.schema.structural import StructuralSchema


def rule(expression: str, **more: Any) -> list[dict[str, Any]]:
    return [{"rule": expression, **more}]


PROPERTIES: dict[str, Any] = {
    "plain": {"type": "string", "x-kubernetes-validations": rule("self == 'ok'")},
    "computed": {
        "type": "integer",
        "x-kubernetes-validations": rule("self > 5", message="it is small"),
    },
    "object": {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "as": {"type": "string"},
            "a-b": {"type": "string"},
        },
        "x-kubernetes-validations": [
            {
                "rule": "has(self.a)",
                "reason": "FieldValueRequired",
                "fieldPath": ".a",
                "message": "a is needed",
            },
            {"rule": "!has(self.as) || self.as == 'x'", "message": "by its own name"},
            {"rule": "!has(self.__as__) || self.__as__ == 'x'", "message": "by its escaped name"},
            {
                "rule": "!has(self.a__dash__b) || self.a__dash__b == 'x'",
                "message": "dash",
                "fieldPath": "['a-b']",
            },
        ],
    },
    "twice": {
        "type": "string",
        "x-kubernetes-validations": rule(
            "self == 'ok'", reason="FieldValueDuplicate", message="again"
        ),
    },
    "fails": {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "x-kubernetes-validations": rule("self.a == 'x'", message="is x"),
    },
    "items": {
        "type": "array",
        "items": {
            "type": "string",
            "x-kubernetes-validations": rule("self.size() > 1", message="longer"),
        },
    },
    "map": {
        "type": "object",
        "additionalProperties": {
            "type": "integer",
            "x-kubernetes-validations": rule("self < 10", message="small"),
        },
    },
    "when": {
        "type": "string",
        "format": "date-time",
        "x-kubernetes-validations": rule("self > timestamp('2020-01-01T00:00:00Z')", message="new"),
    },
    "number": {"type": "number", "x-kubernetes-validations": rule("self < 1.5", message="little")},
    "keyed": {
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["k"],
        "items": {
            "type": "object",
            "properties": {
                "k": {"type": "string"},
                "v": {
                    "type": "integer",
                    "x-kubernetes-validations": rule("self >= oldSelf", message="must not fall"),
                },
            },
        },
    },
}
SCHEMA = StructuralSchema(
    {
        "type": "object",
        "x-kubernetes-validations": rule(
            "self.metadata.name.startsWith('x')", message="name must start with x"
        ),
        "properties": {"spec": {"type": "object", "properties": PROPERTIES}},
    }
)


def document(spec: dict[str, Any], name: str = "x") -> dict[str, Any]:
    return {
        "apiVersion": "lab.test/v1",
        "kind": "Rule",
        "metadata": {"name": name, "labels": {}},
        "spec": spec,
    }


def told(spec: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    causes = SCHEMA.validate(document(spec), None if old is None else document(old))
    return [f"{cause.field}: {cause.message}" for cause in causes]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"plain": "a"}, ["spec.plain: Invalid value: \"a\": failed rule: self == 'ok'"]),
        ({"computed": 3}, ["spec.computed: Invalid value: 3: it is small"]),
        ({"object": {}}, ["spec.object.a: Required value: a is needed"]),
        (
            {"object": {"a": "1", "as": "y", "a-b": "y"}},
            [
                "spec.object: Invalid value: by its own name",
                "spec.object: Invalid value: by its escaped name",
                "spec.object.a-b: Invalid value: dash",
            ],
        ),
        ({"twice": "a"}, ['spec.twice: Duplicate value: "a"']),
        (
            {"fails": {}},
            ['spec.fails: Invalid value: "object": no such key: a evaluating rule: is x'],
        ),
        ({"items": ["a", "bb"]}, ['spec.items[0]: Invalid value: "a": longer']),
        ({"map": {"a": 11, "b": 1}}, ["spec.map[a]: Invalid value: 11: small"]),
        (
            {"when": "2019-01-01T00:00:00Z"},
            ['spec.when: Invalid value: "2019-01-01T00:00:00Z": new'],
        ),
        ({"number": 2}, ["spec.number: Invalid value: 2: little"]),
        ({"number": 1}, []),
    ],
)
def test_a_rule_that_does_not_hold_is_told_in_the_words_of_the_real_server(
    spec: dict[str, Any], expected: list[str]
) -> None:
    assert told(spec) == expected


def test_a_rule_at_the_root_sees_the_name_and_its_cause_has_no_field() -> None:
    causes = SCHEMA.validate(document({}, name="y"))

    assert [(cause.field, cause.message) for cause in causes] == [
        ("<nil>", "Invalid value: name must start with x")
    ]


def test_rules_about_the_past_are_asked_of_updates_alone() -> None:
    old = {"keyed": [{"k": "a", "v": 5}, {"k": "b", "v": 1}]}

    assert told(old) == []
    assert told({"keyed": [{"k": "b", "v": 0}, {"k": "a", "v": 4}]}, old) == [
        "spec.keyed[0].v: Invalid value: 0: must not fall",
        "spec.keyed[1].v: Invalid value: 4: must not fall",
    ]
    assert told({"keyed": [{"k": "c", "v": 0}, {"k": "a", "v": 5}]}, old) == []


def test_an_update_is_not_blocked_by_rules_over_what_it_leaves_as_it_was() -> None:
    assert told({"plain": "a", "computed": 6}, {"plain": "a"}) == []


def test_rules_are_not_asked_of_objects_they_cannot_rely_on() -> None:
    assert told({"plain": "a", "computed": "text"}) == [
        (
            'spec.computed: Invalid value: "string": spec.computed in body must be of type '
            'integer: "string"'
        ),
        (
            "<nil>: Invalid value: null: some validation rules were not checked because the "
            "object was invalid; "
            "correct the existing errors to complete validation"
        ),
    ]
