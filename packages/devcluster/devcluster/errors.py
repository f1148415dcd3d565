"""Errors as metav1.Status, with the codes, reasons and words of kube-apiserver.

Rules raise an ApiStatus. The HTTP shell is the only place that catches and renders
it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

UNPROCESSABLE = 422


@dataclass(frozen=True, slots=True)
class FieldCause:
    """One problem of one field; `message` begins with the reason in prose ("Required value")."""

    reason: str
    field: str
    message: str


class ApiStatus(Exception):
    """An answer other than success."""

    def __init__(
        self, code: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = dict(details) if details is not None else None

    def as_document(self) -> dict[str, Any]:
        """Render the Status that goes over the wire."""
        document: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            document["reason"] = self.reason
        if self.details is not None:
            document["details"] = self.details
        return document | {"code": self.code}


def bad_request(message: str) -> ApiStatus:
    """400: the request cannot be understood."""
    return ApiStatus(400, "BadRequest", message)


def unauthorized() -> ApiStatus:
    """401: the credentials are bad."""
    return ApiStatus(401, "Unauthorized", "Unauthorized")


def forbidden(group: str, resource: str, name: str, why: str) -> ApiStatus:
    """403 about a resource."""
    quoted = f' "{name}"' if name else ""
    return ApiStatus(
        403,
        "Forbidden",
        f"{qualified(group, resource)}{quoted} is forbidden: {why}",
        _details(group, resource, name),
    )


def not_found(group: str, resource: str, name: str) -> ApiStatus:
    """404 about a resource."""
    return ApiStatus(
        404,
        "NotFound",
        f'{qualified(group, resource)} "{name}" not found',
        _details(group, resource, name),
    )


def invalid(group: str, kind: str, name: str, causes: Sequence[FieldCause]) -> ApiStatus:
    """422: every field that is wrong, at once."""
    problems = list(
        dict.fromkeys(f"{cause.field}: {cause.message}" for cause in causes)
    )  # each is listed once
    listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    message = f'{qualified(group, kind)} "{name}" is invalid: {listed}'
    details = _details(group, kind, name) | {"causes": [_cause(cause) for cause in causes]}
    return ApiStatus(UNPROCESSABLE, "Invalid", message, details)


def internal_error(message: str) -> ApiStatus:
    """500: not the caller's fault."""
    details = {"causes": [{"message": message}]}
    return ApiStatus(500, "InternalError", f"Internal error occurred: {message}", details)


def qualified(group: str, resource: str) -> str:
    """Spell a resource or kind with its group: configmaps, leases.coordination.k8s.io."""
    return f"{resource}.{group}" if group else resource


def _details(group: str, kind: str, name: str) -> dict[str, Any]:
    parts: Iterable[tuple[str, str]] = (("name", name), ("group", group), ("kind", kind))
    return {key: value for key, value in parts if value}


def _cause(cause: FieldCause) -> dict[str, str]:
    return {"reason": cause.reason, "message": cause.message, "field": cause.field}
