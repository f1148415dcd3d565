"""The forms of names and keys, and pydantic's complaints in Kubernetes' words.

`resource.py` puts these patterns on its fields, the CRD carries them to the API server, and this page makes both complain alike.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from configmapsync.fielderrors import (
    ErrorKind,
    FieldError,
    at_key,
    cut,
    forbidden,
    invalid,
    not_supported,
    required,
)

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
MOST_ITEMS = 512  # of one list or map: more namespaces are a selector's job
MOST_VALUES = 8192  # of a whole spec; what a spec can use sensibly is half of it
DEEPEST = 8

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


def size_errors(root: str, document: Any) -> tuple[FieldError, ...]:
    """Check sizes and counts of a decoded document before anything reads its contents.

    The cost is bounded: a list or a map that is too long is not entered, and the walk
    ends with the value that is one too many.

    Args:
        root: the path of the document, as `spec`.
        document: any decoded JSON.
    """
    errors: list[FieldError] = []
    values = 0
    pending: list[tuple[str, str, Any, int]] = [(root, "", document, 1)]
    while pending:
        path, field, value, depth = pending.pop()
        if not isinstance(value, Mapping | list):
            continue
        if len(value) > MOST_ITEMS:
            errors.append(
                FieldError(
                    path, ErrorKind.TOO_MANY, len(value), f"must have at most {MOST_ITEMS} items"
                )
            )
            continue
        if depth > DEEPEST:
            errors.append(forbidden(path, f"is nested deeper than {DEEPEST} levels"))
            continue
        values += len(value)
        if values > MOST_VALUES:
            detail = f"must have at most {MOST_VALUES} values in all lists and maps together"
            return (FieldError(root, ErrorKind.TOO_MANY, values, detail), *errors)
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        pending += [
            (_joined(path, field, part), str(part), item, depth + 1) for part, item in items
        ]
    return tuple(sorted(errors, key=lambda error: error.path))


def field_errors(root: str, problems: Iterable[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Translate what pydantic found.

    Args:
        root: the path of the document that was read, as `spec`.
        problems: `ValidationError.errors()`.
    """
    return tuple(_field_error(_path(root, problem["loc"]), problem) for problem in problems)


def _field_error(path: str, problem: Mapping[str, Any]) -> FieldError:
    value: Any = problem.get("input")
    context = problem.get("ctx", {})
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
            return FieldError(
                path,
                ErrorKind.TOO_LONG,
                detail=f"may not be more than {context['max_length']} bytes",
            )
        case "too_long":
            return FieldError(
                path,
                ErrorKind.TOO_MANY,
                len(value),
                f"must have at most {context['max_length']} items",
            )
        case "globs_too_long":
            return FieldError(path, ErrorKind.TOO_LONG, detail=problem["msg"])
        case "enum":
            return not_supported(path, value, _supported(context["expected"]))
        case kind:
            wanted = _TYPES.get(kind)
            return FieldError(
                path,
                ErrorKind.TYPE_INVALID,
                value,
                f"must be of type {wanted}" if wanted else problem["msg"],
            )


def _path(root: str, location: Iterable[str | int]) -> str:
    """`("keys", 0, "as")` under `spec` is `spec.keys[0].as`."""
    path, previous = root, ""
    for part in location:
        if part == "[key]":
            continue  # pydantic's word for "the key itself"
        path, previous = _joined(path, previous, part), str(part)
    return path


def _joined(path: str, previous: str, part: str | int) -> str:
    """Return the path of `part` below `path`, whose last part is `previous`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    return at_key(path, part) if previous in _OPEN_KEYS else f"{path}.{cut(str(part))}"


def _supported(expected: str) -> list[str]:
    """The words in pydantic's sentence `'Fail' or 'Adopt'`."""
    return [word for word in expected.split("'") if word.strip(" ,") not in {"", "or"}]
