"""The forms of names and keys, and pydantic's complaints in Kubernetes' words.

`resource.py` puts these patterns on its fields, the CRD carries them to the API server, and this page makes both complain alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from configmapsync.fielderrors import ErrorKind, FieldError, forbidden, invalid, not_supported, required

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL = rf"^{_LABEL}$"
LABEL_GLOB = r"^[a-z0-9*?]([-a-z0-9*?]*[a-z0-9*?])?$"
SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
DATA_KEY = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"  # a volume has no file of the name ".", and keeps "..data" for itself
DATA_KEY_GLOB = r"^[-._a-zA-Z0-9*?]+$"

_WORDS = {
    LABEL: (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
        "with an alphanumeric character"
    ),
    LABEL_GLOB: (
        "a namespace pattern must consist of lower case alphanumeric characters, '-', '*' or '?', and must not start or "
        "end with '-'"
    ),
    SUBDOMAIN: (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
        "and end with an alphanumeric character"
    ),
    DATA_KEY: (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.', and must not be '.' or start with '..'"
    ),
    DATA_KEY_GLOB: "a key pattern must consist of alphanumeric characters, '-', '_', '.', '*' or '?'",
}
_TYPES = {
    "string_type": "string",
    "bool_type": "boolean",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}
_OPEN_KEYS = frozenset(
    {"labels", "annotations", "matchLabels"}
)  # maps whose keys are the user's: written as labels[key]


def field_errors(root: str, problems: Iterable[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Translate what pydantic found.

    Args:
        root: the path of the document that was read, as `spec`.
        problems: `ValidationError.errors()`.
    """
    return tuple(_field_error(_path(root, problem["loc"]), problem) for problem in problems)


def _field_error(path: str, problem: Mapping[str, Any]) -> FieldError:
    value, context = problem.get("input"), problem.get("ctx", {})
    match problem["type"]:
        case "missing":
            return required(path)
        case "extra_forbidden":
            return forbidden(path, "unknown field")
        case "string_pattern_mismatch":
            return invalid(path, value, _WORDS[context["pattern"]])
        case "string_too_short":
            return invalid(path, value, f"should be at least {context['min_length']} chars long")
        case "string_too_long":
            return FieldError(path, ErrorKind.TOO_LONG, detail=f"may not be more than {context['max_length']} bytes")
        case "too_long":
            return FieldError(
                path, ErrorKind.TOO_MANY, context["actual_length"], f"must have at most {context['max_length']} items"
            )
        case "enum":
            return not_supported(path, value, _supported(context["expected"]))
        case kind:
            wanted = _TYPES.get(kind)
            return FieldError(
                path, ErrorKind.TYPE_INVALID, value, f"must be of type {wanted}" if wanted else problem["msg"]
            )


def _path(root: str, location: Iterable[str | int]) -> str:
    """`("keys", 0, "as")` under `spec` is `spec.keys[0].as`."""
    path, former = root, ""
    for part in location:
        if part == "[key]":
            continue  # pydantic's word for "the key itself"
        path += f"[{part}]" if isinstance(part, int) or former in _OPEN_KEYS else f".{part}"
        former = str(part)
    return path


def _supported(expected: str) -> list[str]:
    """The words in pydantic's sentence `'Fail' or 'Adopt'`."""
    return [word for word in expected.split("'") if word.strip(" ,") not in {"", "or"}]
