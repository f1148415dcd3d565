"""Check the size of a document, and turn the errors of pydantic into field errors.

`parsing.py` and the `check` command of the plugin call it. The paths and words must be
those of the API server, which checks the same fields with the CRD.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from configmapsync.field_patterns import PATTERN_WORDS
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

MOST_ITEMS = 512  # of one list or map; a selector is better for more namespaces
MOST_VALUES = 8192  # of a whole spec; a useful spec has half of it at most
DEEPEST = 8  # levels of lists and maps

_TYPES = {
    "string_type": "string",
    "bool_type": "boolean",
    "tuple_type": "array",
    "dict_type": "object",
    "model_type": "object",
    "model_attributes_type": "object",
}
_CONTAINERS = (dict, list)
# Maps with keys of the user, which a path shows as labels[key].
_OPEN_KEYS = frozenset({"labels", "annotations", "matchLabels"})


def size_errors(root: str, document: Any) -> tuple[FieldError, ...]:
    """Return errors of sizes and counts, at a bounded cost for any document.

    A list or map that is too long is not entered, and the check ends at the first value above
    MOST_VALUES.

    Args:
        root: the path of the document, such as `spec`.
        document: any decoded JSON.
    """
    errors: list[FieldError] = []
    values = 0
    pending = [(root, document, 1)] if isinstance(document, _CONTAINERS) else []
    while pending:
        path, value, depth = pending.pop()
        if len(value) > MOST_ITEMS:
            errors.append(_too_many(path, value, MOST_ITEMS))
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
            (_joined(path, part), item, depth + 1)
            for part, item in items
            if isinstance(item, _CONTAINERS)
        ]
    return tuple(sorted(errors, key=lambda error: error.path))


def field_errors(root: str, problems: Iterable[Mapping[str, Any]]) -> tuple[FieldError, ...]:
    """Return the errors of pydantic as field errors.

    Args:
        root: the path of the validated document, such as `spec`.
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
            return invalid(path, value, PATTERN_WORDS[context["pattern"]])
        case "string_too_short":
            return invalid(path, value, f"should be at least {context['min_length']} chars long")
        case "string_too_long":
            detail = f"may not be more than {context['max_length']} bytes"
            return FieldError(path, ErrorKind.TOO_LONG, detail=detail)
        case "too_long":
            return _too_many(path, value, context["max_length"])
        case "globs_too_long":
            return FieldError(path, ErrorKind.TOO_LONG, detail=problem["msg"])
        case "enum":
            return not_supported(path, value, _supported(context["expected"]))
        case kind:
            detail = f"must be of type {_TYPES[kind]}" if kind in _TYPES else problem["msg"]
            return FieldError(path, ErrorKind.TYPE_INVALID, value, detail)


def _too_many(path: str, value: Collection[Any], most: int) -> FieldError:
    detail = f"must have at most {most} items"
    return FieldError(path, ErrorKind.TOO_MANY, len(value), detail)


def _path(root: str, location: Iterable[str | int]) -> str:
    """Return the path of a location: `("keys", 0, "as")` below `spec` is `spec.keys[0].as`."""
    path = root
    for part in location:
        if part != "[key]":  # pydantic marks an error of a key like this
            path = _joined(path, part)
    return path


def _joined(path: str, part: str | int) -> str:
    """Return the path of `part` below `path`."""
    if isinstance(part, int):
        return f"{path}[{part}]"
    parent = path.rpartition(".")[2]
    return at_key(path, part) if parent in _OPEN_KEYS else f"{path}.{cut(str(part))}"


def _supported(expected: str) -> list[str]:
    """Return the words of a message of pydantic, such as `'Fail' or 'Adopt'`."""
    return [word for word in expected.split("'") if word.strip(" ,") not in {"", "or"}]
