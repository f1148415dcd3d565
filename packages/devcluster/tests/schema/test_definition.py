"""Refused CustomResourceDefinitions, as measured on kube-apiserver v1.36.2."""

from typing import Any

import pytest

from devcluster.schema.definition import definition_problems

ROOT = "spec.validation.openAPIV3Schema"
SPEC = f"{ROOT}.properties[spec]"


def definition(
    schema: dict[str, Any] | None = None, names: dict[str, Any] | None = None, **spec: Any
) -> dict[str, Any]:
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema or {"type": "object"}},
    }
    every_name = {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "listKind": "WidgetList",
        **(names or {}),
    }
    whole = {
        "group": "bad.test",
        "scope": "Namespaced",
        "versions": [version],
        "conversion": {"strategy": "None"},
    }
    return {
        "metadata": {"name": "widgets.bad.test"},
        "spec": {**whole, "names": every_name, **spec},
    }


def of_spec(schema: dict[str, Any]) -> dict[str, Any]:
    return definition({"type": "object", "properties": {"spec": schema}})


def told(document: dict[str, Any]) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in definition_problems(document)]


def validated(**rule: Any) -> dict[str, Any]:
    properties = {"a": {"type": "string"}}
    return of_spec({"type": "object", "properties": properties, "x-kubernetes-validations": [rule]})


def keyed(items: dict[str, Any], *keys: str) -> dict[str, Any]:
    said = {"x-kubernetes-list-type": "map"} | (
        {"x-kubernetes-list-map-keys": list(keys)} if keys else {}
    )
    return of_spec({"type": "array", "items": {"type": "object", **items}, **said})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (
            definition(group="bad", names={"plural": "widgets"})
            | {"metadata": {"name": "widgets.bad"}},
            'spec.group: Invalid value: "bad": should be a domain with at least one dot',
        ),
        (
            definition(scope="X"),
            'spec.scope: Unsupported value: "X": supported values: "Cluster", "Namespaced"',
        ),
        (definition(scope=""), "spec.scope: Required value"),
        (
            definition(names={"listKind": "Widget"}),
            'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same',
        ),
        (
            definition({"properties": {}}),
            f"{ROOT}.type: Required value: must not be empty at the root",
        ),
        (
            definition({"type": "array", "items": {"type": "string"}}),
            f'{ROOT}.type: Invalid value: "array": must be object at the root',
        ),
        (
            of_spec({"properties": {}}),
            f"{SPEC}.type: Required value: must not be empty for specified object fields",
        ),
        (
            of_spec({"type": "text"}),
            (
                f'{SPEC}.type: Unsupported value: "text": supported values: "array", "boolean", '
                '"integer", "number", "object", "string"'
            ),
        ),
        (of_spec({"type": "array"}), f"{SPEC}.items: Required value: must be specified"),
        (
            of_spec({"type": "array", "items": {}}),
            f"{SPEC}.items.type: Required value: must not be empty for specified array items",
        ),
        (
            of_spec(
                {
                    "type": "object",
                    "properties": {"a": {"type": "string"}},
                    "additionalProperties": {"type": "string"},
                }
            ),
            (
                f"{SPEC}.additionalProperties: Forbidden: additionalProperties and properties are "
                "mutual exclusive"
            ),
        ),
        (
            of_spec({"type": "object", "$ref": "#/x"}),
            f"{SPEC}.$ref: Forbidden: $ref is not supported",
        ),
        (
            of_spec({"type": "object", "anyOf": [{"type": "object"}]}),
            f"{SPEC}.anyOf[0].type: Forbidden: must be empty to be structural",
        ),
        (
            of_spec(
                {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "bag"}
            ),
            (
                f'{SPEC}.x-kubernetes-list-type: Unsupported value: "bag": supported values: '
                '"atomic", "set", "map"'
            ),
        ),
        (
            keyed({}),
            (
                f"{SPEC}.x-kubernetes-list-map-keys: Required value: must not be empty if "
                "x-kubernetes-list-type is map"
            ),
        ),
        (
            keyed({}, "a"),
            (
                f'{SPEC}.x-kubernetes-list-map-keys: Invalid value: ["a"]: entries must all be '
                "names of item properties"
            ),
        ),
        (
            keyed({"properties": {"a": {"type": "string"}}}, "a"),
            (
                f"{SPEC}.items.properties[a].default: Required value: this property is in "
                "x-kubernetes-list-map-keys, so it must have a default or be a required property"
            ),
        ),
        (
            of_spec({"type": "integer", "default": "x"}),
            f'{SPEC}.default: Invalid value: "string":  in body must be of type integer: "string"',
        ),
        (
            of_spec(
                {"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}}
            ),
            f'{SPEC}.default: Invalid value: {{"b":1}}: must not have unknown fields',
        ),
        (
            validated(rule=""),
            f"{SPEC}.x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            validated(rule="true", fieldPath=".b"),
            (
                f'{SPEC}.x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a '
                "valid path"
            ),
        ),
        (
            validated(rule="true", reason="Nope"),
            (
                f'{SPEC}.x-kubernetes-validations[0].reason: Unsupported value: "Nope": supported '
                'values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", '
                '"FieldValueRequired"'
            ),
        ),
        (
            definition({"type": "object", "properties": {"apiVersion": {"type": "integer"}}}),
            f'{ROOT}.properties[apiVersion].type: Invalid value: "integer": must be string',
        ),
    ],
)
def test_a_definition_that_cannot_be_carried_out_is_refused_with_its_field(
    document: dict[str, Any], expected: str
) -> None:
    assert told(document) == [expected]


def test_a_rule_that_cannot_be_read_is_refused_when_the_definition_is_made() -> None:
    (problem,) = told(validated(rule="self =="))

    assert problem.startswith(f"{SPEC}.x-kubernetes-validations[0].rule: Invalid value: ")
    assert "compilation failed" in problem


def test_without_a_schema_or_a_version_to_store_there_is_no_definition() -> None:
    bare = {"name": "v1", "served": True, "storage": True}
    unstored = {**bare, "storage": False, "schema": {"openAPIV3Schema": {"type": "object"}}}

    assert told(definition(versions=[bare])) == [
        "spec.versions[0].schema.openAPIV3Schema: Required value"
    ]
    assert [problem.partition(":")[0] for problem in told(definition(versions=[unstored]))] == [
        "spec.versions",
        "status.storedVersions",
    ]


def test_the_scope_is_for_life() -> None:
    causes = definition_problems(definition(scope="Cluster"), definition())

    assert [cause.field for cause in causes] == ["spec.scope"]
