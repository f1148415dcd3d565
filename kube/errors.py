"""What the API server refuses, as classes: raised low, in one place, and classified for retrying in one table.

Upper layers match a class, never a status code. No message here ever holds a request or answer body: a body may be a ConfigMap.
"""

import re
from collections.abc import Mapping
from enum import Enum

import msgspec

MESSAGE_LIMIT = 1024  # characters of a server's message that travel on
# A Retry-After is honoured up to this; one answer must not silence a watch, an event or a lease for longer.
LONGEST_WAIT_SECONDS = 30.0
# Largest error answer that is read; of a larger one only the status code is known.
ERROR_BODY_BYTES = 256 << 10
CAUSE_LIMIT = 20  # causes of one error that are kept


class Retry(Enum):
    """When the same request may be worth sending again."""

    SOON = "the world moved: look again"
    BACKOFF = "it may pass: wait, longer each time"
    NEVER = "only another request can succeed"


class ApiError(Exception):
    """A request that did not succeed.

    Attributes:
        status: the HTTP status; 0 where no answer came.
        reason: the one word of the `Status`, as `NotFound`.
        message: the sentence of the `Status`, capped.
        causes: `(reason, field, message)` of each cause.
        retry_after: seconds the server asks us to wait, at most `LONGEST_WAIT_SECONDS`; None where it does not.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        causes: tuple[tuple[str, str, str], ...] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message[:MESSAGE_LIMIT])
        self.status = status
        self.reason = reason
        self.message = message[:MESSAGE_LIMIT]
        self.causes = causes
        self.retry_after = None if retry_after is None else min(retry_after, LONGEST_WAIT_SECONDS)

    def __str__(self) -> str:
        return f"{self.message} ({self.reason or type(self).__name__})"


class BadRequest(ApiError):
    """400: the request is not understood."""


class Unauthorized(ApiError):
    """401: the server does not know who asks."""


class Forbidden(ApiError):
    """403: whoever asks may not; or a quota or a terminating namespace forbids it."""

    @property
    def namespace_terminating(self) -> bool:
        """Whether the namespace is on its way out."""
        return any(reason == "NamespaceTerminating" for reason, _, _ in self.causes)

    @property
    def quota_exceeded(self) -> bool:
        """Whether a ResourceQuota forbids it."""
        return "exceeded quota" in self.message


class NotFound(ApiError):
    """404."""


class Conflict(ApiError):
    """409: the object is not what the request supposed."""


class AlreadyExists(ApiError):
    """409: the name is taken."""


class Gone(ApiError):
    """410: the version is too old; list again."""


class TooLarge(ApiError):
    """413, or etcd's own limit: the object does not fit."""


class UnsupportedMediaType(ApiError):
    """415."""


class Invalid(ApiError):
    """422: the object is not valid."""

    @property
    def too_long(self) -> bool:
        """Whether a part of the object is larger than the API server allows."""
        return any(reason == "FieldValueTooLong" for reason, _, _ in self.causes)


class AdmissionDenied(ApiError):
    """A policy or webhook of the cluster refused the request, with whatever status it chose.

    The status says nothing about the object: a webhook may deny with 404 or 409. The policy may change at any time.
    """

    @property
    def denied_by(self) -> str:
        """Name the policy or webhook."""
        return _denied_by(self.message) or "an admission policy"


class TooManyRequests(ApiError):
    """429: the server asks us to slow down."""


class ServerError(ApiError):
    """5xx: the server failed."""


class Unreachable(ApiError):
    """No answer: no connection, a broken one, or a timeout. What was asked may have happened."""


class Silent(Unreachable):
    """An open watch brought nothing for long: its peer may be gone, or had nothing to say."""


class Malformed(ApiError):
    """An answer that cannot be decoded."""


class AnswerTooLarge(ApiError):
    """An answer above the size limit of its request; the connection stopped reading it."""


class Fenced(ApiError):
    """Not sent: whoever guards the connection says that we may not write now, as when the Lease is not ours any more."""


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
    Unauthorized: Retry.BACKOFF,  # a token may be on its way
    Forbidden: Retry.BACKOFF,  # no watch tells when a right or a quota changes
    NotFound: Retry.BACKOFF,
    Conflict: Retry.SOON,
    AlreadyExists: Retry.SOON,
    Gone: Retry.SOON,
    TooLarge: Retry.NEVER,
    UnsupportedMediaType: Retry.NEVER,
    Invalid: Retry.NEVER,
    AdmissionDenied: Retry.BACKOFF,  # no watch reports that a policy changed
    TooManyRequests: Retry.BACKOFF,
    ServerError: Retry.BACKOFF,
    Unreachable: Retry.BACKOFF,
    Silent: Retry.SOON,
    Malformed: Retry.BACKOFF,
    AnswerTooLarge: Retry.BACKOFF,
    Fenced: Retry.BACKOFF,
    ApiError: Retry.BACKOFF,
}


def retry_of(error: ApiError) -> Retry:
    """When to send the same request again."""
    return _RETRY[type(error)]


def from_response(status: int, body: bytes | msgspec.Raw, headers: Mapping[str, str]) -> ApiError:
    """The error that an answer of `status` (not 2xx) means, whatever its body is."""
    return _error(status, _read(body), _seconds(headers.get("Retry-After")))


def from_status(status: bytes | msgspec.Raw) -> ApiError:
    """The error that a `Status` object in a watch means; there is no HTTP status beside it."""
    told = _read(status)
    return _error(told.code or 500, told, None)


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
    """The `Status` in an answer; an empty one where there is none, as in what a proxy or a load shedder answers."""
    try:
        return msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Status()


def _error(status: int, told: _Status, retry_after: float | None) -> ApiError:
    details = told.details or _Details()
    return _class_of(status, told)(
        told.message or f"the server answered {status} without saying why",
        status=status,
        reason=told.reason or "",
        causes=tuple(map(_cause, (details.causes or ())[:CAUSE_LIMIT])),
        retry_after=retry_after or _positive(details.retryAfterSeconds or 0.0),
    )


def _cause(cause: _Cause) -> tuple[str, str, str]:
    reason, field, message = (
        (text or "")[:MESSAGE_LIMIT] for text in (cause.reason, cause.field, cause.message)
    )
    return reason, field, message


_WEBHOOK = re.compile(r"(?:^|: )admission webhook \"([^\"]{1,253})\" denied the request")
_POLICY = re.compile(
    r"ValidatingAdmissionPolicy '([^']{1,253})' with binding '([^']{1,253})' denied request"
)


def _denied_by(message: str) -> str | None:
    """Name what denied a request, from the form in which kube-apiserver words it (v1.36)."""
    if (webhook := _WEBHOOK.search(message)) is not None:
        return f'admission webhook "{webhook[1]}"'
    if (policy := _POLICY.search(message)) is not None:
        return f'ValidatingAdmissionPolicy "{policy[1]}" (binding "{policy[2]}")'
    return None


def _class_of(status: int, told: _Status) -> type[ApiError]:
    if _denied_by((told.message or "")[:MESSAGE_LIMIT]) is not None:
        return AdmissionDenied
    if status == 422 and not any(
        cause.reason for cause in (told.details or _Details()).causes or ()
    ):
        return AdmissionDenied  # the API server's own validation always says which field is wrong, and how
    if status == 409 and told.reason == "AlreadyExists":
        return AlreadyExists
    if told.reason in {"Expired", "Gone"}:
        return Gone
    if status >= 500 and (told.message or "").startswith("etcdserver: request is too large"):
        return TooLarge  # etcd's limit comes through as a 500
    return _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)


def _seconds(text: str | None) -> float | None:
    """Retry-After in seconds; the form with a date is not used by API servers."""
    return _positive(float(text)) if text and text.isdecimal() else None


def _positive(seconds: float) -> float | None:
    """Return `seconds`; None where a server asks for no wait, or for a negative one."""
    return seconds if seconds > 0 else None
