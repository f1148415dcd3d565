"""Define the errors of requests, and the one table that decides retrying.

`connection.py` raises them, and every caller matches a class or `ApiError.retry`, never
a status code. A message holds of an answer at most the message of its `Status`, never
the body, because a body may be a ConfigMap.
"""

import re
from collections.abc import Mapping
from enum import Enum

import msgspec

MESSAGE_LIMIT = 1024  # characters of the API server's message that are kept
# One answer must not stop a watch, an event or a lease renewal for longer than this, whatever its
# Retry-After says.
MAX_RETRY_AFTER_SECONDS = 30.0
# The largest error answer that is read. Of a larger one only the status code is known.
ERROR_BODY_BYTES = 256 << 10
CAUSE_LIMIT = 20  # causes of one error that are kept
# What decoding an answer may raise: not JSON or not of the expected shape, not UTF-8, or nested
# too deeply.
DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Cause = tuple[str, str, str]  # its reason, field and message


def in_one_line(error: Exception) -> str:
    """Return the message of any error in one line; its class if it has no message."""
    return " ".join(str(error).split()) or type(error).__name__


class Retry(Enum):
    """When a failed request is worth another try."""

    SOON = "the state has changed: read it again and retry"
    TRANSIENT = "the server or the network failed: retry with backoff"
    BLOCKED = "a right, a policy or another object is in the way: retry with backoff"
    NEVER = "the request itself is wrong: only a different one can succeed"


class ApiError(Exception):
    """A request that failed.

    Attributes:
        status: the HTTP status; 0 if no answer came.
        reason: the reason word of the `Status`, such as `NotFound`.
        message: the message of the `Status`, cut to `MESSAGE_LIMIT`.
        causes: `(reason, field, message)` of each cause.
        retry_after: seconds that the server asks the client to wait, at most
            `MAX_RETRY_AFTER_SECONDS`; None if it does not ask.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
    ) -> None:
        self.message = message[:MESSAGE_LIMIT]
        super().__init__(self.message)
        self.status = status
        self.reason = reason
        self.causes = causes
        self.retry_after = (
            None if retry_after is None else min(retry_after, MAX_RETRY_AFTER_SECONDS)
        )

    def __str__(self) -> str:
        return f"{self.message} ({self.reason or type(self).__name__})"

    @property
    def retry(self) -> Retry:
        """Return when the request is worth another try."""
        return _RETRY[type(self)]

    def repeats(self, previous: "ApiError | None") -> bool:
        """Return whether a previous error said the same, so that a log need not."""
        return type(self) is type(previous) and str(self) == str(previous)


class BadRequest(ApiError):
    """400: the server does not understand the request."""


class Unauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""


class Forbidden(ApiError):
    """403: the user lacks a right, or a quota or a terminating namespace forbids the request."""

    @property
    def namespace_terminating(self) -> bool:
        """Return whether the namespace is being deleted."""
        return any(reason == "NamespaceTerminating" for reason, _, _ in self.causes)


class NotFound(ApiError):
    """404: the object, its namespace or its resource does not exist."""


class Conflict(ApiError):
    """409: the object does not have the version or UID in the request."""


class AlreadyExists(ApiError):
    """409: the name is taken."""


class Gone(ApiError):
    """410: the resourceVersion is too old; the client must list again."""


class TooLarge(ApiError):
    """413, or the size limit of etcd: the object is too large."""


class UnsupportedMediaType(ApiError):
    """415: the server does not accept the media type."""


class Invalid(ApiError):
    """422: the object is not valid."""

    @property
    def too_long(self) -> bool:
        """Return whether a field is larger than the API server allows."""
        return any(reason == "FieldValueTooLong" for reason, _, _ in self.causes)


class AdmissionDenied(ApiError):
    """An admission policy or webhook denied the request.

    The status says nothing about the object: a webhook may deny with 404 or 409.
    """

    @property
    def denied_by(self) -> str:
        """Return the kind and name of what denied the request, or "an admission policy"."""
        return _denied_by(self.message) or "an admission policy"


class TooManyRequests(ApiError):
    """429: the server asks the client to send fewer requests."""


class ServerError(ApiError):
    """5xx: the server failed."""


class Unreachable(ApiError):
    """No answer: no connection, a broken one, or a timeout. A write may have been carried out."""


class Silent(Unreachable):
    """An open watch received no byte for its idle timeout."""


class Malformed(ApiError):
    """An answer that cannot be decoded."""


class AnswerTooLarge(ApiError):
    """An answer above the size limit of its request; the client stopped reading it."""


class Fenced(ApiError):
    """A write that was not sent, because this process does not hold the leader lease."""


_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    413: TooLarge,
    415: UnsupportedMediaType,
    422: Invalid,
    429: TooManyRequests,
}

_RETRY: Mapping[type[ApiError], Retry] = {
    BadRequest: Retry.NEVER,
    Unauthorized: Retry.TRANSIENT,  # the token may be replaced at this moment
    Forbidden: Retry.BLOCKED,  # no watch reports that a right or a quota changed
    NotFound: Retry.BLOCKED,
    Conflict: Retry.SOON,
    AlreadyExists: Retry.SOON,
    Gone: Retry.SOON,
    TooLarge: Retry.NEVER,
    UnsupportedMediaType: Retry.NEVER,
    Invalid: Retry.NEVER,
    AdmissionDenied: Retry.BLOCKED,  # no watch reports that a policy changed
    TooManyRequests: Retry.TRANSIENT,
    ServerError: Retry.TRANSIENT,
    Unreachable: Retry.TRANSIENT,
    Silent: Retry.SOON,
    Malformed: Retry.TRANSIENT,
    AnswerTooLarge: Retry.TRANSIENT,
    Fenced: Retry.BLOCKED,
    ApiError: Retry.BLOCKED,  # any other status below 500
}


def from_response(status: int, body: bytes | msgspec.Raw, headers: Mapping[str, str]) -> ApiError:
    """Return the error for an answer whose status is not 2xx; its body may be anything."""
    # API servers do not send the form with a date.
    wait = headers.get("Retry-After", "")
    return _error(status, _read(body), float(wait) if wait.isdecimal() else 0.0)


def from_status(status: bytes | msgspec.Raw) -> ApiError:
    """Return the error for a `Status` in a watch, which has no HTTP status of its own."""
    decoded = _read(status)
    return _error(decoded.code or 500, decoded, 0.0)


class _Cause(msgspec.Struct):
    reason: str | None = None
    field: str | None = None
    message: str | None = None


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None
    retryAfterSeconds: float | None = None  # noqa: N815 - its name on the wire


class _Status(msgspec.Struct):
    message: str | None = None
    reason: str | None = None
    code: int | None = None
    details: _Details | None = None


def _read(body: bytes | msgspec.Raw) -> _Status:
    """Return the `Status` in an answer; an empty one if a proxy answered with something else."""
    try:
        return msgspec.json.decode(body, type=_Status)
    except DECODE_ERRORS:
        return _Status()


def _error(code: int, status: _Status, retry_after: float) -> ApiError:
    details = status.details or _Details()
    message = (status.message or f"the server answered {code} without a message")[:MESSAGE_LIMIT]
    reason = status.reason or ""
    causes = tuple(map(_cause, (details.causes or ())[:CAUSE_LIMIT]))
    seconds = retry_after or details.retryAfterSeconds or 0.0
    return _class_of(code, reason, message, causes)(
        message,
        status=code,
        reason=reason,
        causes=causes,
        retry_after=seconds if seconds > 0 else None,
    )


def _cause(cause: _Cause) -> Cause:
    reason, field, message = (
        (text or "")[:MESSAGE_LIMIT] for text in (cause.reason, cause.field, cause.message)
    )
    return reason, field, message


_WEBHOOK = re.compile(r"(?:^|: )admission webhook \"([^\"]{1,253})\" denied the request")
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '([^']{1,253})' with binding '([^']{1,253})' denied request"
)


def _denied_by(message: str) -> str | None:
    """Return what denied a request, from the wording of kube-apiserver (v1.36)."""
    if (webhook := _WEBHOOK.search(message)) is not None:
        return f'admission webhook "{webhook[1]}"'
    if (policy := _POLICY.search(message)) is not None:
        return f'ValidatingAdmissionPolicy "{policy[1]}" (binding "{policy[2]}")'
    return None


def _class_of(code: int, reason: str, message: str, causes: tuple[Cause, ...]) -> type[ApiError]:
    # The API server's own validation always names the field that is wrong.
    unexplained = code == 422 and not any(cause_reason for cause_reason, _, _ in causes)
    if unexplained or _denied_by(message) is not None:
        return AdmissionDenied
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExists
    if reason in {"Expired", "Gone"}:
        return Gone
    if code >= 500 and message.startswith("etcdserver: request is too large"):
        return TooLarge  # the API server passes the error of etcd on as a 500
    return _BY_STATUS.get(code, ServerError if code >= 500 else ApiError)
