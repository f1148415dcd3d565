"""Validate CustomResourceDefinitions, which `crds.py` defaults and serves.

Conversion by webhook is refused, because only strategy None is implemented.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from devcluster.errors import FieldCause
from devcluster.schema.field_problems import is_subdomain, subdomain_problem
from devcluster.schema.structure import structure_problems
from devcluster.schema.wording import invalid, not_supported, required

Document = Mapping[str, Any]
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_LIMIT = 63
LABEL_RULE = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with "
    "an alphabetic character, and end "
    "with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation "
    "is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
SCOPES = ("Cluster", "Namespaced")
COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
# The server's own form of a version, which it prints where the versions do not fit together.
VERSION_SHOWN = {"Name": "name", "Served": "served", "Storage": "storage"}
VERSION_HIDDEN = (
    "DeprecationWarning",
    "Schema",
    "Subresources",
    "AdditionalPrinterColumns",
    "SelectableFields",
)


def definition_problems(definition: Document, old: Document | None = None) -> list[FieldCause]:
    """List everything wrong with a (defaulted) definition; `old` is what an update replaces."""
    spec = definition.get("spec") or {}
    names = spec.get("names") or {}
    causes = [*_name_problems(definition, spec, names), *_group_problems(spec)]
    causes += [*_scope_problems(spec, old), *_names_problems(names), *_conversion_problems(spec)]
    causes += _versions_problems(spec.get("versions") or [])
    return causes


def _name_problems(definition: Document, spec: Document, names: Document) -> Iterator[FieldCause]:
    name = definition["metadata"].get("name", "")
    if name != f"{names.get('plural', '')}.{spec.get('group', '')}":
        yield invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group')


def _group_problems(spec: Document) -> Iterator[FieldCause]:
    group = spec.get("group", "")
    if not group:
        yield required("spec.group")
    elif not is_subdomain(group):
        yield subdomain_problem("spec.group", group)
    elif "." not in group:
        yield invalid("spec.group", group, "should be a domain with at least one dot")


def _scope_problems(spec: Document, old: Document | None) -> Iterator[FieldCause]:
    scope = spec.get("scope", "")
    if not scope:
        yield required("spec.scope")
    elif scope not in SCOPES:
        yield not_supported("spec.scope", scope, SCOPES)
    elif old is not None and old["spec"]["scope"] != scope:
        yield invalid("spec.scope", scope, "field is immutable")


def _names_problems(names: Document) -> Iterator[FieldCause]:
    for part in ("plural", "singular", "kind", "listKind"):
        name = names.get(part, "")
        if not name:
            yield required(f"spec.names.{part}")
        elif part in ("kind", "listKind"):
            if not _is_label(name.lower()):
                yield invalid(
                    f"spec.names.{part}",
                    name,
                    f"may have mixed case, but should otherwise match: {LABEL_RULE}",
                )
        elif not _is_label(name):
            yield invalid(f"spec.names.{part}", name, LABEL_RULE)
    if names.get("kind") and names.get("kind") == names.get("listKind"):
        yield invalid(
            "spec.names.listKind", names["listKind"], "kind and listKind may not be the same"
        )
    for part in ("shortNames", "categories"):
        for index, name in enumerate(names.get(part) or ()):
            if not _is_label(name):
                yield invalid(f"spec.names.{part}[{index}]", name, LABEL_RULE)


def _conversion_problems(spec: Document) -> Iterator[FieldCause]:
    strategy = (spec.get("conversion") or {}).get("strategy")
    if strategy != "None":
        yield not_supported("spec.conversion.strategy", strategy, ("None",))
    if spec.get("preserveUnknownFields"):
        why = (
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
            "spec.versions[*].schema instead"
        )
        yield invalid("spec.preserveUnknownFields", True, why)


def _versions_problems(versions: Sequence[Document]) -> Iterator[FieldCause]:
    names = [version.get("name", "") for version in versions]
    for index, version in enumerate(versions):
        if not _is_label(names[index]):
            yield invalid(f"spec.versions[{index}].name", names[index], LABEL_RULE)
        yield from _version_problems(version, index, alone=len(versions) == 1)
    listed = [_as_the_server_prints(version) for version in versions]
    if len(set(names)) != len(names):
        yield invalid("spec.versions", listed, "must contain unique version names")
    if [bool(version.get("storage")) for version in versions].count(True) != 1:
        yield invalid(
            "spec.versions", listed, "must have exactly one version marked as storage version"
        )
        if not any(version.get("storage") for version in versions):
            yield invalid("status.storedVersions", None, "must have at least one stored version")


def _version_problems(version: Document, index: int, *, alone: bool) -> Iterator[FieldCause]:
    """The server knows the parts of a single version by another path."""
    schema = (version.get("schema") or {}).get("openAPIV3Schema")
    if schema is None:
        yield required(f"spec.versions[{index}].schema.openAPIV3Schema")
    else:
        field = "spec.validation" if alone else f"spec.versions[{index}].schema"
        yield from structure_problems(schema, f"{field}.openAPIV3Schema")
    columns = "spec" if alone else f"spec.versions[{index}]"
    for number, column in enumerate(version.get("additionalPrinterColumns") or ()):
        yield from _column_problems(column, f"{columns}.additionalPrinterColumns[{number}]")


def _column_problems(column: Document, field: str) -> Iterator[FieldCause]:
    if not column.get("name"):
        yield required(f"{field}.name")
    if column.get("type") not in COLUMN_TYPES:
        yield invalid(
            f"{field}.type", column.get("type", ""), f"must be one of {','.join(COLUMN_TYPES)}"
        )
    if not column.get("jsonPath"):
        yield required(f"{field}.JSONPath")


def _as_the_server_prints(version: Document) -> dict[str, Any]:
    return {shown: version.get(name) for shown, name in VERSION_SHOWN.items()} | dict.fromkeys(
        VERSION_HIDDEN
    )


def _is_label(name: str) -> bool:
    return len(name) <= LABEL_LIMIT and LABEL.fullmatch(name) is not None
