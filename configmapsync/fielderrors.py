"""Kubernetes' field errors: the same kinds, paths and words, so that `kubectl` prints ours as it prints a Deployment's.

Source of the words: what kube-apiserver v1.36 answers. Used by `resource.py` (shape) and `validation.py` (rules), and by the webhook,
which turns a list of them into one Status.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from configmapsync.names import GROUP


class ErrorKind(StrEnum):
    """What is wrong; the value is the `reason` of a cause in a Status."""

    REQUIRED = "FieldValueRequired"
    INVALID = "FieldValueInvalid"
    NOT_FOUND = "FieldValueNotFound"
    DUPLICATE = "FieldValueDuplicate"
    FORBIDDEN = "FieldValueForbidden"
    NOT_SUPPORTED = "FieldValueNotSupported"
    TOO_LONG = "FieldValueTooLong"
    TOO_MANY = "FieldValueTooMany"
    TYPE_INVALID = "FieldValueTypeInvalid"


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
}
_WITHOUT_VALUE = frozenset({ErrorKind.REQUIRED, ErrorKind.FORBIDDEN, ErrorKind.TOO_LONG})


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field.

    Attributes:
        path: where, as `spec.keys[0].as`.
        kind: what is wrong.
        value: the offending value (of too many, how many); not shown for kinds that do not quote it.
        detail: the rest of the sentence.
    """

    path: str
    kind: ErrorKind
    value: Any = None
    detail: str = ""

    @property
    def message(self) -> str:
        """Everything but the path."""
        quoted = "" if self.kind in _WITHOUT_VALUE else f": {json.dumps(self.value, ensure_ascii=False, default=str)}"
        return f"{_WORDS[self.kind]}{quoted}" + (f": {self.detail}" if self.detail else "")

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def required(path: str, detail: str = "") -> FieldError:
    """A value is missing."""
    return FieldError(path, ErrorKind.REQUIRED, detail=detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value is not of the right form."""
    return FieldError(path, ErrorKind.INVALID, value, detail)


def not_found(path: str, value: Any, detail: str = "") -> FieldError:
    """A value names something that is not there."""
    return FieldError(path, ErrorKind.NOT_FOUND, value, detail)


def duplicate(path: str, value: Any) -> FieldError:
    """A value stands twice where it may stand once."""
    return FieldError(path, ErrorKind.DUPLICATE, value)


def forbidden(path: str, detail: str) -> FieldError:
    """A value is of the right form, and still may not be."""
    return FieldError(path, ErrorKind.FORBIDDEN, detail=detail)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    """A value is none of a fixed set."""
    words = ", ".join(json.dumps(word) for word in supported)
    return FieldError(path, ErrorKind.NOT_SUPPORTED, value, f"supported values: {words}")


def to_status(errors: Iterable[FieldError], kind: str, name: str) -> dict[str, Any]:
    """The `metav1.Status` (code 422) that an API server answers for an invalid object.

    Args:
        errors: everything that is wrong.
        kind: of the object, for the sentence and the details.
        name: of the object; empty where the server is still to make one.
    """
    listed = tuple(errors)
    texts = [str(error) for error in listed]
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{kind}.{GROUP} "{name}" is invalid: {summary}',
        "reason": "Invalid",
        "details": {
            "name": name,
            "group": GROUP,
            "kind": kind,
            "causes": [{"reason": error.kind.value, "message": error.message, "field": error.path} for error in listed],
        },
        "code": 422,
    }
