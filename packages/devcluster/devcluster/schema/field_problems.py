"""Field errors in Kubernetes' words, for kinds with rules in Python. Pure."""

import json
import re
from collections.abc import Iterable, Sequence

from devcluster.errors import FieldCause

SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
SUBDOMAIN_LIMIT = 253
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' "
    "or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
QUALIFIED_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
QUALIFIED_NAME_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
PROSE = {"FieldValueRequired": "Required value", "FieldValueForbidden": "Forbidden"}


def required(field: str, why: str = "") -> FieldCause:
    """Report a missing value."""
    return FieldCause(
        "FieldValueRequired", field, f"Required value: {why}" if why else "Required value"
    )


def invalid_value(field: str, value: object, why: str) -> FieldCause:
    """Report a value that breaks a rule."""
    return FieldCause("FieldValueInvalid", field, f"Invalid value: {_json(value)}: {why}")


def duplicate(field: str, value: object) -> FieldCause:
    """Report a value that was there before."""
    return FieldCause("FieldValueDuplicate", field, f"Duplicate value: {_json(value)}")


def unsupported(field: str, value: object, known: Iterable[str]) -> FieldCause:
    """Report a value that is none of those known."""
    listed = ", ".join(_json(one) for one in known)
    return FieldCause(
        "FieldValueNotSupported",
        field,
        f"Unsupported value: {_json(value)}: supported values: {listed}",
    )


def is_subdomain(name: str) -> bool:
    """Return whether a name is a DNS subdomain."""
    return len(name) <= SUBDOMAIN_LIMIT and SUBDOMAIN.fullmatch(name) is not None


def subdomain_problem(field: str, name: str) -> FieldCause:
    """Report a name that is no DNS subdomain."""
    return invalid_value(field, name, SUBDOMAIN_RULE)


def label_key_problem(name: str) -> str | None:
    """Return what is wrong with the name part of a label key; None if it is valid."""
    return None if QUALIFIED_NAME.fullmatch(name) else QUALIFIED_NAME_RULE


def _json(value: object) -> str:
    listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
    return json.dumps(listed, separators=(",", ":"), ensure_ascii=False)
