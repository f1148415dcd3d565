"""What a schema does to values, as measured on kube-apiserver v1.36.2."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devcluster.schema.structural import StructuralSchema
from devcluster.schema.values import same

SCHEMA = StructuralSchema(
    {
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "number": {
                        "type": "number",
                        "minimum": 1.5,
                        "maximum": 9.25,
                        "exclusiveMaximum": True,
                    },
                    "integer": {"type": "integer", "multipleOf": 3, "format": "int32"},
                    "text": {"type": "string", "minLength": 2, "pattern": "^a+$"},
                    "date": {"type": "string", "format": "date-time"},
                    "enum": {"type": "string", "enum": ["z", "a", "m"]},
                    "flag": {"type": "boolean"},
                    "list": {
                        "type": "array",
                        "minItems": 2,
                        "maxItems": 3,
                        "items": {"type": "string", "maxLength": 3},
                    },
                    "map": {
                        "type": "object",
                        "minProperties": 2,
                        "maxProperties": 3,
                        "additionalProperties": {"type": "integer", "minimum": 5},
                    },
                    "set": {
                        "type": "array",
                        "x-kubernetes-list-type": "set",
                        "items": {"type": "string"},
                    },
                    "keyed": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["a", "b"],
                        "items": {
                            "type": "object",
                            "required": ["a"],
                            "properties": {
                                "a": {"type": "string"},
                                "b": {"type": "string", "default": "bee"},
                                "c": {"type": "integer", "minimum": 1},
                            },
                        },
                    },
                    "mixed": {"x-kubernetes-int-or-string": True},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "nullable": {"type": "string", "nullable": True},
                    "embedded": {
                        "type": "object",
                        "x-kubernetes-embedded-resource": True,
                        "x-kubernetes-preserve-unknown-fields": True,
                    },
                    "need": {
                        "type": "object",
                        "required": ["x", "yy"],
                        "properties": {"x": {"type": "string"}, "yy": {"type": "string"}},
                    },
                    "one": {
                        "type": "object",
                        "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
                        "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
                    },
                    "defaulted": {
                        "type": "object",
                        "default": {},
                        "properties": {
                            "depth": {"type": "integer", "default": 1},
                            "mode": {"type": "string"},
                        },
                    },
                },
            },
            "status": {
                "type": "object",
                "properties": {"text": {"type": "string", "minLength": 2}},
            },
        },
    }
)


def document(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "lab.test/v1", "kind": "Lab", "metadata": {"name": "x"}, "spec": spec}


def told(spec: Any) -> list[str]:
    pruned, _ = SCHEMA.prune(document(spec))
    return [f"{cause.field}: {cause.message}" for cause in SCHEMA.validate(SCHEMA.default(pruned))]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"number": 1},
            (
                "spec.number: Invalid value: 1: spec.number in body should be greater than or "
                "equal to 1"
            ),
        ),
        (
            {"number": 9.25},
            "spec.number: Invalid value: 9.25: spec.number in body should be less than 9.25",
        ),
        (
            {"number": "a"},
            (
                'spec.number: Invalid value: "string": spec.number in body must be of type '
                'number: "string"'
            ),
        ),
        (
            {"integer": 4},
            "spec.integer: Invalid value: 4: spec.integer in body should be a multiple of 3",
        ),
        (
            {"integer": 6_000_000_000},
            (
                '<nil>: Invalid value: "": Checked value must be of type integer with format '
                "int32 in spec.integer"
            ),
        ),
        (
            {"text": "b"},
            'spec.text: Invalid value: "b": spec.text in body should be at least 2 chars long',
        ),
        ({"text": "ab"}, "spec.text: Invalid value: \"ab\": spec.text in body should match '^a+$'"),
        (
            {"text": "aa\n"},
            "spec.text: Invalid value: \"aa\\n\": spec.text in body should match '^a+$'",
        ),
        (
            {"date": "x"},
            'spec.date: Invalid value: "x": spec.date in body must be of type date-time: "x"',
        ),
        (
            {"date": "2020-01-02"},
            (
                'spec.date: Invalid value: "2020-01-02": spec.date in body must be of type '
                'date-time: "2020-01-02"'
            ),
        ),
        ({"enum": "q"}, 'spec.enum: Unsupported value: "q": supported values: "z", "a", "m"'),
        (
            {"list": ["a"]},
            "spec.list: Invalid value: 1: spec.list in body should have at least 2 items",
        ),
        ({"list": ["a", "b", "c", "d"]}, "spec.list: Too many: 4: must have at most 3 items"),
        ({"list": ["a", "bbbbb"]}, "spec.list[1]: Too long: may not be more than 3 bytes"),
        (
            {"list": ["a", None]},
            (
                'spec.list[1]: Invalid value: "null": spec.list[1] in body must be of type '
                'string: "null"'
            ),
        ),
        (
            {"map": {"a": 5}},
            "spec.map: Invalid value: 1: spec.map in body should have at least 2 properties",
        ),
        (
            {"map": {"a": 5, "b": 4}},
            "spec.map.b: Invalid value: 4: spec.map.b in body should be greater than or equal to 5",
        ),
        ({"set": ["a", "b", "a", "a"]}, 'spec.set[2]: Duplicate value: "a"'),
        (
            {"keyed": [{"a": "1"}, {"a": "1", "b": "bee"}]},
            'spec.keyed[1]: Duplicate value: {"a":"1","b":"bee"}',
        ),
        ({"keyed": [{"b": "1"}]}, "spec.keyed[0].a: Required value"),
        (
            {"mixed": 1.5},
            (
                'spec.mixed: Invalid value: "number": spec.mixed in body must be of type '
                'integer,string: "number"'
            ),
        ),
        (
            {"one": {"a": "1", "b": "2"}},
            (
                '<nil>: Invalid value: "": "spec.one" must validate one and only one schema '
                "(oneOf). Found 2 valid alternatives"
            ),
        ),
        ("text", 'spec: Invalid value: "string": spec in body must be of type object: "string"'),
    ],
)
def test_a_value_that_breaks_the_schema_is_told_in_the_words_of_the_real_server(
    spec: Any, expected: str
) -> None:
    assert told(spec) == [expected]


def test_every_problem_is_told_at_once() -> None:
    problems = told({"need": {"x": 5}, "enum": 4, "list": 3})

    assert problems == [
        'spec.enum: Invalid value: "integer": spec.enum in body must be of type string: "integer"',
        'spec.enum: Unsupported value: 4: supported values: "z", "a", "m"',
        'spec.list: Invalid value: "integer": spec.list in body must be of type array: "integer"',
        (
            'spec.need.x: Invalid value: "integer": spec.need.x in body must be of type string: '
            '"integer"'
        ),
        "spec.need.yy: Required value",
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {"integer": 3.0},
        {"mixed": 1},
        {"mixed": "a"},
        {"nullable": None},
        {"any": {"x": {"y": None}}},
        {"date": "2020-01-02T03:04:05.123456789+01:00"},
        {"list": ["éé", "b"]},
        {"embedded": {"apiVersion": "v1", "kind": "X", "metadata": {"name": "Bad_"}}},
        {},
    ],
)
def test_what_the_real_server_takes_is_taken(spec: dict[str, Any]) -> None:
    assert told(spec) == []


def test_nulls_where_null_is_no_value_are_dropped_and_defaults_filled_in_at_every_depth() -> None:
    filled = SCHEMA.default(
        document(
            {"flag": None, "nullable": None, "keyed": [{"a": "1"}], "defaulted": {"mode": None}}
        )
    )

    assert filled["spec"] == {
        "nullable": None,
        "keyed": [{"a": "1", "b": "bee"}],
        "defaulted": {"depth": 1},
    }
    assert SCHEMA.default(document({}))["spec"] == {"defaulted": {"depth": 1}}


def test_what_is_not_declared_is_dropped_and_named() -> None:
    given = document(
        {"unknown": 1, "keyed": [{"a": "x", "q": 1}], "any": {"kept": 1}, "need": {"zzz": 1}}
    )
    given["metadata"]["colour"] = "red"
    given["other"] = 1

    kept, unknown = SCHEMA.prune(given)

    assert kept["spec"] == {"keyed": [{"a": "x"}], "any": {"kept": 1}, "need": {}}
    assert unknown == [
        "metadata.colour",
        "other",
        "spec.keyed[0].q",
        "spec.need.zzz",
        "spec.unknown",
    ]


def test_the_metadata_of_an_embedded_object_is_pruned_like_any() -> None:
    embedded = {
        "apiVersion": "v1",
        "kind": "X",
        "metadata": {"name": "a", "foo": 1},
        "spec": {"any": 1},
    }

    kept, unknown = SCHEMA.prune(document({"embedded": embedded}))

    assert kept["spec"]["embedded"] == {**embedded, "metadata": {"name": "a"}}
    assert unknown == ["spec.embedded.metadata.foo"]


def test_an_update_is_not_blocked_by_what_it_leaves_as_it_was() -> None:
    old = document({"text": "b", "keyed": [{"a": "1", "b": "x", "c": 0}], "list": ["a"]})
    edited = document(
        {
            "text": "b",
            "keyed": [{"a": "2", "b": "x"}, {"a": "1", "b": "x", "c": 0}],
            "list": ["a"],
            "enum": "q",
        }
    )

    assert [cause.field for cause in SCHEMA.validate(edited, old)] == ["spec.enum"]
    assert [cause.field for cause in SCHEMA.validate(document({"text": "c"}), old)] == ["spec.text"]


def test_a_write_to_the_status_judges_the_status_alone() -> None:
    bad = {**document({"text": "b"}), "status": {"text": "c"}}

    causes = SCHEMA.validate_status(bad, document({}))

    assert [(cause.field, cause.message) for cause in causes] == [
        ("status.text", 'Invalid value: "c": text in body should be at least 2 chars long')
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "b", "c", "x", "list", "map", "keyed", "any"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_sent_gets_an_answer_and_pruning_and_defaulting_are_done_once_and_for_all(
    spec: Any,
) -> None:
    pruned, _ = SCHEMA.prune(document(spec))
    filled = SCHEMA.default(pruned)

    SCHEMA.validate(filled)

    assert same(SCHEMA.default(filled), filled)
    assert SCHEMA.prune(filled) == (filled, [])
    assert SCHEMA.validate(filled, filled) == []
