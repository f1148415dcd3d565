"""The reason words: one enum, and the same word in condition, event, metric label and log line.

The order is the order of importance where several destinations fail for different reasons and one word must speak for all.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Why a sync, or one destination of it, is as it is."""

    INVALID_SPEC = "InvalidSpec"
    NOT_AUTHORIZED = "NotAuthorized"
    LOOP_DETECTED = "LoopDetected"
    SOURCE_NOT_FOUND = "SourceNotFound"
    DESTINATION_CONFLICT = "DestinationConflict"
    DESTINATION_CONTESTED = "DestinationContested"  # another sync owns it
    CONTESTED = "Contested"  # something keeps rewriting it
    TOO_LARGE = "TooLarge"
    WRITE_FAILED = "WriteFailed"
    NAMESPACE_NOT_FOUND = "NamespaceNotFound"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    NAMESPACE_DISABLED = "NamespaceDisabled"
    SUSPENDED = "Suspended"
    PROGRESSING = "Progressing"
    SYNCED = "Synced"
