"""docs/api.md, written from the schema of the CRD: every field, its type, its default, its limits, and the rules over several fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from configmapsync.crd import custom_resource_definition
from configmapsync.names import API_VERSION, KIND

Schema = Mapping[str, Any]

TITLE = f"""# API reference

`{KIND}` of `{API_VERSION}`, namespaced. `kubectl explain configmapsync.spec` tells the same of the version that your cluster has. What is checked here holds
with the webhook down; the webhook refuses more ([README.md](../README.md#how-it-behaves)).
"""
HEAD = "| field | type | default | meaning | limits |\n|---|---|---|---|---|\n"
LIMITS = {
    "minLength": "at least {} character(s)",
    "maxLength": "at most {} characters",
    "maxItems": "at most {} entries",
    "maxProperties": "at most {} entries",
    "pattern": "`{}`",
}


def page() -> str:
    """The whole page."""
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [TITLE]
    for part, words in (
        ("spec", "What is asked for"),
        ("status", "What was found and done: written by the reconciler"),
    ):
        parts.append(
            f"## {part}\n\n{words}.\n\n{HEAD}" + "".join(_rows(schema["properties"][part], ""))
        )
    rules = list(_rules(schema, ""))
    parts.append(
        "## Rules over several fields\n\n| where | what is answered where it does not hold |\n|---|---|\n"
        + "".join(rules)
    )
    return "\n".join(parts)


def _rows(schema: Schema, path: str) -> Iterator[str]:
    """One row a field, and after it those of the fields in it."""
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        inner = field.get("items", field)
        here = f"{path}{name}" + ("[]" if "items" in field else "")
        kind = _kind(field) + (", required" if name in required else "")
        default = f"`{field['default']}`" if "default" in field else ""
        cells = (f"`{here}`", kind, default, _escaped(field.get("description", "")), _limits(field))
        yield f"| {' | '.join(cells)} |\n"
        yield from _rows(inner, f"{here}.")


def _kind(field: Schema) -> str:
    if "enum" in field:
        return " or ".join(f"`{word}`" for word in field["enum"])
    if "items" in field:
        return f"list of {_kind(field['items'])}s" if field["items"]["type"] != "object" else "list"
    if "additionalProperties" in field:
        return "map"
    return str(field.get("format") or field["type"])


def _limits(field: Schema) -> str:
    """Of the value, of each entry of a list, of each value of a map."""
    each = field.get("items") or field.get("additionalProperties") or {}
    told = [
        LIMITS[limit].format(field[limit])
        for limit in LIMITS
        if limit in field and field[limit] != 1
    ]
    told += [
        f"each {LIMITS[limit].format(each[limit])}"
        for limit in LIMITS
        if limit in each and each[limit] != 1
    ]
    return ", ".join(told)


def _rules(schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        where = f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "the object"
        yield f"| `{where}` | {_escaped(rule['message'])} |\n"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _escaped(cell: str) -> str:
    """Text as a cell of a table."""
    return cell.replace("|", "\\|").replace("*", "\\*")
