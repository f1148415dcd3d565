"""Check one ConfigMapSync by the rules that need no other object.

`references.py` goes on with the syncs that are valid. The fields below `spec` are
checked by the models of the resource, and metadata by the rules of the API server.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from configmapsync.crd import custom_resource_definition
from configmapsync.defaulting import default_document, with_defaults
from configmapsync.field_patterns import LABEL, PATTERN_WORDS, SUBDOMAIN
from configmapsync.fielderrors import (
    ErrorKind,
    FieldError,
    at_key,
    forbidden,
    invalid,
    not_supported,
    required,
)
from configmapsync.names import API_VERSION, KIND
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.resource import ConfigMapSync
from configmapsync.validation import label_errors, validate
from dryrun.yaml_nodes import Node
from plugin.checks.findings import Finding, Severity, position
from plugin.checks.manifests import Manifest, text_of

TOP_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status")
METADATA_FIELDS = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
LONGEST_NAME, LONGEST_NAMESPACE = 253, 63
UNKNOWN_FIELD = "unknown field"


def check(manifest: Manifest) -> tuple[ConfigMapSync | None, list[Finding]]:
    """Return the sync with its defaults, and findings; None if it has errors."""
    node = manifest.node
    errors = [*_identity_errors(manifest), *_metadata_errors(node.get("metadata"))]
    sync: ConfigMapSync | None = None
    try:
        sync = with_defaults(parse(_document(manifest)))
        errors += validate(sync)
    except InvalidResourceError as problem:
        errors += problem.errors
    findings = [finding(manifest, _with_suggestion(error)) for error in errors]
    findings += _duplicates(manifest)
    return (None if findings else sync), findings


def finding(manifest: Manifest, error: FieldError) -> Finding:
    """Return a field error as a finding with its line."""
    line, column = position(manifest.node, error.path)
    name = str(manifest)
    return Finding(manifest.file, line, column, Severity.ERROR, name, error.path, error.message)


def _document(manifest: Manifest) -> dict[str, Any]:
    """Return the object as admission sees it, with metadata that can be read."""
    spec = manifest.node.get("spec")
    value = _without_null(spec.plain()) if spec is not None else None
    if isinstance(value, dict):
        value = default_document(value)
    return {"metadata": manifest.key._asdict(), "spec": value}


def _without_null(value: Any) -> Any:
    """Remove the fields without a value, as the API server does."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value


def _identity_errors(manifest: Manifest) -> Iterator[FieldError]:
    node = manifest.node
    if manifest.api_version != API_VERSION:
        yield (
            not_supported("apiVersion", manifest.api_version, [API_VERSION])
            if manifest.api_version
            else required("apiVersion", f"must be {API_VERSION}")
        )
    if manifest.kind != KIND:
        yield not_supported("kind", manifest.kind, [KIND])
    yield from _unknown_fields("", node, TOP_FIELDS)


def _metadata_errors(metadata: Node | None) -> Iterator[FieldError]:
    if metadata is None or not isinstance(metadata.value, dict):
        yield required("metadata")
        return
    yield from _unknown_fields("metadata", metadata, METADATA_FIELDS)
    name, generated = metadata.get("name"), text_of(metadata.get("generateName"))
    if name is None and not generated:
        yield required("metadata.name", "name or generateName is required")
    elif name is not None:
        yield from _name_errors("metadata.name", name.value, SUBDOMAIN, LONGEST_NAME)
    if (namespace := metadata.get("namespace")) is not None:
        yield from _name_errors("metadata.namespace", namespace.value, LABEL, LONGEST_NAMESPACE)
    for part in ("labels", "annotations"):
        yield from _map_errors(f"metadata.{part}", metadata.get(part))


def _name_errors(path: str, value: Any, pattern: str, longest: int) -> Iterator[FieldError]:
    if not isinstance(value, str):
        yield FieldError(path, ErrorKind.TYPE_INVALID, value, "must be of type string")
    elif len(value) > longest:
        yield FieldError(path, ErrorKind.TOO_LONG, detail=f"may not be more than {longest} bytes")
    elif not re.fullmatch(pattern, value):
        yield invalid(path, value, PATTERN_WORDS[pattern])


def _map_errors(path: str, entries: Node | None) -> Iterator[FieldError]:
    if entries is None or entries.value is None:
        return
    if not isinstance(entries.value, dict):
        yield FieldError(path, ErrorKind.TYPE_INVALID, None, "must be of type object")
        return
    for key, node in entries.value.items():
        if not isinstance(node.value, str):
            detail = "must be of type string; put quotes around it"
            yield FieldError(at_key(path, key), ErrorKind.TYPE_INVALID, node.plain(), detail)
    if path.endswith(".labels"):
        texts = {key: node.value for key, node in entries.value.items()}
        yield from label_errors(
            {key: value for key, value in texts.items() if isinstance(value, str)}, path
        )


def _unknown_fields(path: str, node: Node, known: Iterable[str]) -> Iterator[FieldError]:
    for field in node.value if isinstance(node.value, dict) else ():
        if field not in known:
            yield forbidden(f"{path}.{field}" if path else field, UNKNOWN_FIELD)


def _with_suggestion(error: FieldError) -> FieldError:
    """Add the field that an unknown field may be meant to be."""
    if error.kind is not ErrorKind.FORBIDDEN or error.detail != UNKNOWN_FIELD:
        return error
    parent, _, field = error.path.rpartition(".")
    close = difflib.get_close_matches(field, _fields(parent), 1, 0.6)
    if not close:
        return error
    return forbidden(error.path, f'{UNKNOWN_FIELD}; did you mean "{close[0]}"?')


def _fields(path: str) -> list[str]:
    """Return the fields that the CRD defines below a path."""
    if path == "metadata":
        return list(METADATA_FIELDS)
    version = custom_resource_definition()["spec"]["versions"][0]
    schema: Mapping[str, Any] = version["schema"]["openAPIV3Schema"]
    for part in re.findall(r"[^.\[\]]+", path):
        if part.isdecimal() and "items" in schema:
            schema = schema["items"]
        else:
            schema = schema.get("properties", {}).get(part, {})
    return sorted(schema.get("properties", {}))


def _duplicates(manifest: Manifest) -> Iterator[Finding]:
    """Yield the keys that occur twice, which `kubectl` rejects."""
    pending = [manifest.node]
    while pending:
        node = pending.pop()
        for key, line, column in node.duplicates:
            message = f'the key "{key[:64]}" occurs more than once'
            yield Finding(manifest.file, line, column, Severity.ERROR, str(manifest), "", message)
        if isinstance(node.value, dict | list):
            pending += node.value.values() if isinstance(node.value, dict) else node.value
