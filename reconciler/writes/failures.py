"""Turn the error of a write into a reason and a message for the status.

`applier.py`, `retries.py` and `writer.py` call it. A message names the status, reason,
field, policy, webhook or quota. It must not quote the free text of an answer: an
admission webhook may put values of the ConfigMap into it, also escaped or shortened.
"""

import re

from configmapsync.plans import Verb, Write
from configmapsync.reasons import Outcome, Reason
from kube.errors import (
    AdmissionDenied,
    ApiError,
    Fenced,
    Forbidden,
    Invalid,
    Malformed,
    NotFound,
    Retry,
    TooLarge,
    Unreachable,
)

# Raised by `kube/`, so that their text holds no answer.
CLIENT_ERRORS = (Unreachable, Malformed, Fenced)
QUOTA = re.compile(r"exceeded quota: ([a-z0-9.-]{1,253}),")
RBAC = re.compile(r"cannot ([a-z]{1,20}) resource \"configmaps\"")
FAILED_WEBHOOK = re.compile(r"failed calling webhook \"([a-z0-9.-]{1,253})\"")
# The reasons of metav1. Any other word may come from an admission webhook.
KNOWN_REASONS = frozenset(
    {
        "AlreadyExists",
        "BadRequest",
        "Conflict",
        "Expired",
        "Forbidden",
        "Gone",
        "InternalError",
        "Invalid",
        "MethodNotAllowed",
        "NotAcceptable",
        "NotFound",
        "RequestEntityTooLarge",
        "ServerTimeout",
        "ServiceUnavailable",
        "StoreReadError",
        "Timeout",
        "TooManyRequests",
        "Unauthorized",
        "UnsupportedMediaType",
    }
)
MOST_FIELDS = 5
LONGEST_FIELD = 100  # characters of a field path, which may hold a key of 253


def outcome_of(write: Write, error: ApiError) -> Outcome:
    """Return the outcome of a destination whose write failed with `error`."""
    message = f"{write.verb} {write.key}: {describe(error)}"
    if write.verb is Verb.RECREATE and not is_stale(write, error):
        message += "; the immutable copy keeps its previous content"
    return Outcome(write.key.namespace, _reason(write, error), message)


def describe(error: ApiError) -> str:
    """Return a message that quotes nothing of the ConfigMap that was sent."""
    if isinstance(error, CLIENT_ERRORS):
        return str(error)
    if (refused_by := _refused_by(error)) is not None:
        return f"refused by {refused_by} ({_status(error)})"
    causes = error.causes if isinstance(error, Invalid) else ()
    if fields := [field[:LONGEST_FIELD] for _, field, _ in causes if field]:
        more = f" and {len(fields) - MOST_FIELDS} more" if len(fields) > MOST_FIELDS else ""
        return f"invalid: {', '.join(fields[:MOST_FIELDS])}{more} ({_status(error)})"
    return f"the API server answered {_status(error)}"


def is_stale(write: Write, error: ApiError) -> bool:
    """Return whether the cluster changed after the plan was made: replan at once."""
    return error.retry is Retry.SOON or (
        isinstance(error, NotFound) and write.verb is not Verb.CREATE
    )


def _refused_by(error: ApiError) -> str | None:
    """Name what rejected a request; None if the form of the answer does not show it."""
    if isinstance(error, AdmissionDenied):
        return error.denied_by
    if (quota := QUOTA.search(error.message)) is not None:
        return f'ResourceQuota "{quota[1]}"'
    if isinstance(error, Forbidden) and (verb := RBAC.search(error.message)) is not None:
        return f"RBAC: the reconciler may not {verb[1]} ConfigMaps there"
    if (webhook := FAILED_WEBHOOK.search(error.message)) is not None:
        return f'admission webhook "{webhook[1]}", which the API server could not call'
    return None


def _status(error: ApiError) -> str:
    reason = error.reason if error.reason in KNOWN_REASONS else type(error).__name__
    return f"{error.status} {reason}"


def _reason(write: Write, error: ApiError) -> Reason:
    if is_stale(write, error):
        return Reason.PROGRESSING
    match error:
        case Forbidden(namespace_terminating=True):
            return Reason.NAMESPACE_TERMINATING
        case NotFound():
            return Reason.NAMESPACE_NOT_FOUND
        case TooLarge() | Invalid(too_long=True):
            return Reason.TOO_LARGE
        case _:
            return Reason.WRITE_FAILED
