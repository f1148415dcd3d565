"""What a failed write means to the person who reads the status: one reason word, and the server's own words.

`kube/errors.py` classifies errors for retrying; here they are classified for explaining. One table each, and no other place decides.
"""

from configmapsync.planning import Outcome, Verb, Write
from configmapsync.reasons import Reason
from configmapsync.redaction import without_values
from kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound, TooLarge

SIZE_COMPLAINTS = (
    "too long",
    "too large",
    "may not be more than",
)  # how the API server words a size limit in a 422 or a 500


def outcome_of(write: Write, error: ApiError) -> Outcome:
    """The outcome of a destination whose write was refused with `error`."""
    return Outcome(write.key.namespace, _reason(write, error), f"{write.verb} {write.key}: {_told(write, error)}")


def _told(write: Write, error: ApiError) -> str:
    """The server's words, without what they quote of the content that was sent."""
    if write.template is None:
        return str(error)
    return str(error).replace(error.message, without_values(error.message, write.template.content))


def is_stale(write: Write, error: ApiError) -> bool:
    """Whether the world was not as the plan saw it: no failure, only a reason to look again."""
    return isinstance(error, Conflict | AlreadyExists) or (
        isinstance(error, NotFound) and write.verb is not Verb.CREATE
    )


def _reason(write: Write, error: ApiError) -> Reason:
    if is_stale(write, error):
        return Reason.PROGRESSING
    match error:
        case Forbidden(namespace_terminating=True):
            return Reason.NAMESPACE_TERMINATING
        case NotFound():
            return Reason.NAMESPACE_NOT_FOUND
        case TooLarge():
            return Reason.TOO_LARGE
        case Invalid() if any(complaint in str(error).lower() for complaint in SIZE_COMPLAINTS):
            return Reason.TOO_LARGE
        case _:
            return Reason.WRITE_FAILED
