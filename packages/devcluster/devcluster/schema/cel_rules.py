"""Evaluate x-kubernetes-validations: CEL rules over a value and its former value.

A rule is parsed when its definition is created. kube-apiserver also checks types and
limits the cost; this does not. CEL has its standard functions, not the Kubernetes
libraries; `optionalOldSelf` and `messageExpression` are not supported.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from celpy.evaluation import CELEvalError

from devcluster.errors import FieldCause
from devcluster.schema.cel_programs import failure, program, syntax_problem
from devcluster.schema.cel_values import cel_value
from devcluster.schema.validation import old_items
from devcluster.schema.values import ABSENT, child, same, type_name
from devcluster.schema.wording import REASONS, forbidden, invalid, not_supported, required, shown

Schema = Mapping[str, Any]
VALIDATIONS = "x-kubernetes-validations"
TRANSITION = re.compile(r"\boldSelf\b")
RULE_REASONS = (
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
)
FIELD_PATH = re.compile(r"\.(?P<name>\w+)|\['(?P<quoted>[^']+)'\]")


def broken_rules(
    value: Any, schema: Schema, field: str = "", old: Any = ABSENT
) -> Iterator[FieldCause]:
    """Yield every broken rule, at any depth.

    An update that leaves a value unchanged skips its rules, except those that read the old value.
    """
    if not has_rules(schema) or value is None:
        return
    unchanged = old is not ABSENT and same(value, old)
    for rule in schema.get(VALIDATIONS) or ():
        if not unchanged or _looks_back(rule):
            yield from _broken(rule, value, schema, field, old)
    if isinstance(value, list):
        items: Schema = schema.get("items") or {}
        for index, (item, before) in enumerate(
            zip(value, old_items(value, schema, old), strict=True)
        ):
            yield from broken_rules(item, items, f"{field}[{index}]", before)
    elif isinstance(value, dict):
        properties: Mapping[str, Schema] = schema.get("properties") or {}
        for key in sorted(value):
            if key in properties:
                below = f"{field}.{key}" if field else key
                yield from broken_rules(value[key], properties[key], below, child(old, key))
            elif isinstance(schema.get("additionalProperties"), Mapping):
                yield from broken_rules(
                    value[key], schema["additionalProperties"], f"{field}[{key}]", child(old, key)
                )


def has_rules(schema: Schema) -> bool:
    """Whether there is a rule at any depth."""
    if schema.get(VALIDATIONS):
        return True
    below = [
        *(schema.get("properties") or {}).values(),
        schema.get("items"),
        schema.get("additionalProperties"),
    ]
    return any(has_rules(one) for one in below if isinstance(one, Mapping))


def rule_problems(schema: Schema, field: str) -> Iterator[FieldCause]:
    """Everything wrong with the rules of one schema as text."""
    for index, rule in enumerate(schema[VALIDATIONS]):
        where = f"{field}.{VALIDATIONS}[{index}]"
        if not str(rule.get("rule") or "").strip():
            yield required(f"{where}.rule", "rule is not specified")
        elif (problem := syntax_problem(rule["rule"])) is not None:
            yield invalid(f"{where}.rule", {"Rule": rule["rule"]}, problem)
        if rule.get("messageExpression"):
            yield forbidden(f"{where}.messageExpression", "messageExpression is not supported")
        if rule.get("reason") and rule["reason"] not in RULE_REASONS:
            yield not_supported(f"{where}.reason", rule["reason"], RULE_REASONS)
        if rule.get("fieldPath") and not _leads_somewhere(rule["fieldPath"], schema):
            yield invalid(f"{where}.fieldPath", rule["fieldPath"], "must be a valid path")


def _leads_somewhere(field_path: str, schema: Schema) -> bool:
    for part in FIELD_PATH.finditer(field_path):
        properties = schema.get("properties") or {}
        additional = schema.get("additionalProperties")
        below = properties.get(part["name"] or part["quoted"], additional)
        if not isinstance(below, Mapping):
            return False
        schema = below
    return True


def _broken(
    rule: Mapping[str, Any], value: Any, schema: Schema, field: str, old: Any
) -> Iterator[FieldCause]:
    variables = {"self": cel_value(value, schema)}
    if _looks_back(rule):
        if old is ABSENT:
            return
        variables["oldSelf"] = cel_value(old, schema)
    try:
        if program(rule["rule"]).evaluate(variables):
            return
    except CELEvalError as error:
        why = f"{failure(error)} evaluating rule: {rule.get('message') or rule['rule']}"
        yield invalid(field or "<nil>", type_name(value), why)
        return
    yield _cause(rule, value, field)


def _cause(rule: Mapping[str, Any], value: Any, field: str) -> FieldCause:
    message = str(rule.get("message") or f"failed rule: {rule['rule']}").strip()
    reason = rule.get("reason") or "FieldValueInvalid"
    where = (field + _below(rule.get("fieldPath") or "")).removeprefix(".") or "<nil>"
    if reason in REASONS:
        return FieldCause(reason, where, f"{REASONS[reason]}: {message}")
    told = "" if isinstance(value, dict | list) else f"{shown(value)}: "
    if reason == "FieldValueDuplicate":
        return FieldCause(reason, where, f"Duplicate value: {told.removesuffix(': ')}")
    return FieldCause(reason, where, f"Invalid value: {told}{message}")


def _below(field_path: str) -> str:
    return "".join(f".{part['name'] or part['quoted']}" for part in FIELD_PATH.finditer(field_path))


def _looks_back(rule: Mapping[str, Any]) -> bool:
    return TRANSITION.search(rule["rule"]) is not None
