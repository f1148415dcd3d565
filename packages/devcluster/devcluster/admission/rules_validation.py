"""Validate one rule of a webhook: operations, groups, resources, scope. Pure.

A list with `*` must have no other entry, because the other entries would look like a
restriction.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import invalid_value, required, unsupported

ANY = "*"
OPERATIONS = (ANY, "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = (ANY, "Cluster", "Namespaced")


def rule_problems(rule: Mapping[str, Any], field: str) -> Iterator[FieldCause]:
    """Yield them in the order in which the real server lists them."""
    operations = rule.get("operations") or []
    yield from _list_problems(operations, f"{field}.operations", "operations", may_be_empty=False)
    for index, operation in enumerate(operations):
        if operation not in OPERATIONS:
            yield unsupported(f"{field}.operations[{index}]", operation, OPERATIONS)
    yield from _list_problems(
        rule.get("apiGroups") or [], f"{field}.apiGroups", "API groups", may_be_empty=True
    )
    yield from _list_problems(
        rule.get("apiVersions") or [], f"{field}.apiVersions", "API versions", may_be_empty=False
    )
    yield from _resource_problems(rule.get("resources") or [], f"{field}.resources")
    if rule["scope"] not in SCOPES:
        yield unsupported(f"{field}.scope", rule["scope"], SCOPES)


def _list_problems(
    values: Sequence[str], field: str, what: str, *, may_be_empty: bool
) -> Iterator[FieldCause]:
    """The empty string is the core group, but no operation and no version."""
    if not values:
        yield required(field)
    if ANY in values and len(values) > 1:
        yield invalid_value(
            field, list(values), f"if '*' is present, must not specify other {what}"
        )
    for index, value in enumerate(values):
        if not value and not may_be_empty:
            yield required(f"{field}[{index}]")


def _resource_problems(resources: Sequence[str], field: str) -> Iterator[FieldCause]:
    if not resources:
        yield required(field)
    for index, resource in enumerate(resources):
        if not resource:
            yield required(f"{field}[{index}]")
        elif wider := _wider(resource, resources[:index]):
            why = f"if '{wider}' is present, must not specify {resource}"
            yield invalid_value(f"{field}[{index}]", resource, why)
    if "*/*" in resources and len(resources) > 1:
        yield invalid_value(
            field, list(resources), "if '*/*' is present, must not specify other resources"
        )
    elif ANY in resources and any(
        "/" not in resource and resource != ANY for resource in resources
    ):
        why = "if '*' is present, must not specify other resources without subresources"
        yield invalid_value(field, list(resources), why)


def _wider(resource: str, before: Sequence[str]) -> str | None:
    """Find an earlier entry that already covers this subresource."""
    parent, slash, subresource = resource.partition("/")
    if not slash:
        return None
    wider = (
        f"{parent}/*" if subresource != ANY else "",
        f"*/{subresource}" if parent != ANY else "",
        "*/*",
    )
    return next((entry for entry in wider if entry and entry in before), None)
