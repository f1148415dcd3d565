"""Format field errors like kube-apiserver: the same kinds, paths and words.

The checks of a spec, of rights and of the cluster make these errors, and the webhook
turns a list of them into one Status. The words are those of kube-apiserver v1.36. The
cost and the size of an error must be bounded for any value.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any

from configmapsync.names import GROUP, KIND


class ErrorKind(StrEnum):
    """What is wrong with a field; the value is the `reason` of a cause in a Status."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_FOUND = "FieldValueNotFound"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    NOT_SUPPORTED = "FieldValueNotSupported"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"
    OMITTED = "FieldErrorsOmitted"  # not of Kubernetes: the number of unlisted errors


_WORDS = {
    ErrorKind.REQUIRED: "Required value",
    ErrorKind.INVALID: "Invalid value",
    ErrorKind.NOT_FOUND: "Not found",
    ErrorKind.DUPLICATE: "Duplicate value",
    ErrorKind.FORBIDDEN: "Forbidden",
    ErrorKind.NOT_SUPPORTED: "Unsupported value",
    ErrorKind.TOO_LONG: "Too long",
    ErrorKind.TOO_MANY: "Too many",
    ErrorKind.TYPE_INVALID: "Invalid value",
    ErrorKind.OMITTED: "More errors",
}
_WITHOUT_VALUE = frozenset(
    {ErrorKind.REQUIRED, ErrorKind.FORBIDDEN, ErrorKind.TOO_LONG, ErrorKind.OMITTED}
)

MOST_ERRORS = 20  # listed for one object; users correct these first
MOST_QUOTED = 100  # characters of a value or of a map key in one error
_QUOTED_ITEMS = 8  # of a list or a map
_QUOTED_DEPTH = 3
_LARGEST_NUMBER = 2**63
_CUT = "…"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One error of one field.

    Attributes:
        path: of the field, such as `spec.keys[0].as`.
        kind: of the error.
        value: the invalid value, or the number of items if there are too many.
        detail: the end of the message.
    """

    path: str
    kind: ErrorKind
    value: Any = None
    detail: str = ""

    @property
    def message(self) -> str:
        """Return the message without the path."""
        message = _WORDS[self.kind]
        if self.kind not in _WITHOUT_VALUE:
            value = _shortened(self.value, _QUOTED_DEPTH)
            message += f": {cut(json.dumps(value, ensure_ascii=False, default=str))}"
        return f"{message}: {self.detail}" if self.detail else message

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def cut(text: str) -> str:
    """Return a text of at most MOST_QUOTED characters; an ellipsis replaces the rest."""
    shortened = text if len(text) <= MOST_QUOTED else text[: MOST_QUOTED - 1] + _CUT
    return shortened.encode("utf-8", "replace").decode()  # a lone surrogate cannot be sent


def at_key(path: str, key: str) -> str:
    """Return the path of one entry of a map."""
    return f"{path}[{cut(key)}]"


def limited(errors: Iterable[FieldError]) -> tuple[FieldError, ...]:
    """Return the first errors; one more counts the errors that are left out."""
    found = tuple(errors)
    missing = len(found) - MOST_ERRORS
    if missing <= 0 or found[-1].kind is ErrorKind.OMITTED:
        return found
    more = FieldError("spec", ErrorKind.OMITTED, detail=f"and {missing} more")
    return (*found[:MOST_ERRORS], more)


def _shortened(value: Any, depth: int) -> Any:
    """Return the beginning of a value: few items, few levels, short texts."""
    match value:
        case str():
            return cut(value)
        case Mapping() | list() if not depth:
            return _CUT
        case Mapping():
            first = islice(value.items(), _QUOTED_ITEMS)
            items = {cut(str(key)): _shortened(item, depth - 1) for key, item in first}
            return items if len(value) <= _QUOTED_ITEMS else items | {_CUT: len(value)}
        case list():
            listed = [_shortened(item, depth - 1) for item in value[:_QUOTED_ITEMS]]
            return listed if len(value) <= _QUOTED_ITEMS else [*listed, _CUT]
        case int() if abs(value) > _LARGEST_NUMBER:
            return "a large number"
        case _:
            return value


def required(path: str, detail: str = "") -> FieldError:
    """Return the error of a missing value."""
    return FieldError(path, ErrorKind.REQUIRED, detail=detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """Return the error of a value in a wrong form."""
    return FieldError(path, ErrorKind.INVALID, value, detail)


def forbidden(path: str, detail: str) -> FieldError:
    """Return the error of a well-formed value that is not allowed."""
    return FieldError(path, ErrorKind.FORBIDDEN, detail=detail)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    """Return the error of a value outside of a fixed set."""
    words = ", ".join(json.dumps(word) for word in supported)
    return FieldError(path, ErrorKind.NOT_SUPPORTED, value, f"supported values: {words}")


def to_status(errors: Iterable[FieldError], name: str) -> dict[str, Any]:
    """Return the `metav1.Status` (code 422) that an API server returns for an invalid sync.

    Args:
        errors: all errors; the first 20 are listed.
        name: of the sync; empty if the API server generates it.
    """
    listed = limited(errors)
    texts = [str(error) for error in listed]
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{KIND}.{GROUP} "{name}" is invalid: {summary}',
        "reason": "Invalid",
        "details": {
            "name": name,
            "group": GROUP,
            "kind": KIND,
            "causes": [
                {"reason": error.kind.value, "message": error.message, "field": error.path}
                for error in listed
            ],
        },
        "code": 422,
    }
