"""Render docs/api.md from the schema of the CRD: fields, types, limits and rules.

`hack/manifests.py` calls `page`. It reads the models only and writes no file.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from configmapsync.crd import custom_resource_definition
from configmapsync.names import API_VERSION, KIND

Schema = Mapping[str, Any]

TITLE = f"""# API reference

`{KIND}` of `{API_VERSION}`, namespaced. `kubectl explain configmapsync.spec`
describes the version in your cluster. The API server checks these limits and rules, even when the
webhook is down. The webhook checks more ([README.md](../README.md#how-it-behaves)).
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
    """Return the page as Markdown."""
    schema = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    parts = [TITLE]
    for part, words in (
        ("spec", "The desired state, written by users"),
        ("status", "The observed state, written by the reconciler"),
    ):
        parts.append(
            f"## {part}\n\n{words}.\n\n{HEAD}" + "".join(_rows(schema["properties"][part], ""))
        )
    rules = list(_rules(schema, ""))
    parts.append(
        "## Rules over several fields\n\n| field | error if the rule is broken |\n|---|---|\n"
        + "".join(rules)
    )
    return "\n".join(parts)


def _rows(schema: Schema, path: str) -> Iterator[str]:
    """Yield one row for each field, followed by the rows of its inner fields."""
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
    """Return the limits of a value, and those of its entries if it is a list or map."""
    each = field.get("items") or field.get("additionalProperties") or {}
    limits = [
        LIMITS[limit].format(field[limit])
        for limit in LIMITS
        if limit in field and field[limit] != 1
    ]
    limits += [
        f"each {LIMITS[limit].format(each[limit])}"
        for limit in LIMITS
        if limit in each and each[limit] != 1
    ]
    return ", ".join(limits)


def _rules(schema: Schema, path: str) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        where = f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "the object"
        yield f"| `{where}` | {_escaped(rule['message'])} |\n"
    for name, field in schema.get("properties", {}).items():
        yield from _rules(field, f"{path}.{name}")
    if "items" in schema:
        yield from _rules(schema["items"], f"{path}[]")


def _escaped(cell: str) -> str:
    """Return the text with the characters escaped that a table cell cannot hold."""
    return cell.replace("|", "\\|").replace("*", "\\*")
