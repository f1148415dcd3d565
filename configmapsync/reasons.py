"""Keep one table of reasons: why a sync or a destination is in its state.

Conditions, events, metric labels and log lines use these words, and every process asks
the table. `reason_messages.py` words their messages. No other module may keep a set of
reasons.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto


class State(Enum):
    """What a reason means for the Ready condition."""

    READY = auto()
    PENDING = auto()  # not ready, and nothing failed
    FAILED = auto()


class Heals(Enum):
    """What can end the state that a reason names."""

    EDIT = auto()  # only an edit by a person: the sync is Stalled
    EVENT = auto()  # a change elsewhere in the cluster, found by a watch or a periodic check
    RETRY = auto()  # the next attempt, although nothing else changes
    NOT_NEEDED = auto()  # the sync is as its spec asks


class Scope(Enum):
    """What a reason describes."""

    SYNC = auto()
    DESTINATION = auto()
    CONFIGMAP = auto()  # the ConfigMap at a destination, which gets an event of its own


# Without the class names a row of the table fits on one line.
READY, PENDING, FAILED = State
EDIT, EVENT, RETRY, NOT_NEEDED = Heals
SYNC, DESTINATION, CONFIGMAP = Scope


class Reason(StrEnum):
    """The reason of a condition, an event or a failed destination.

    The order is the order of importance: if equally many destinations fail for different
    reasons, the first one becomes the reason of the Ready condition.

    Attributes:
        state: what it means for the Ready condition.
        heals: what can end it.
        scope: what it describes.
        taken: whether another object has the destination, which may become free without an edit
            of the sync.
        unforeseen: whether a dry run cannot predict it.
    """

    state: State
    heals: Heals
    scope: Scope
    taken: bool
    unforeseen: bool

    def __new__(
        cls, word: str, state: State, heals: Heals, scope: Scope, taken: bool, unforeseen: bool
    ) -> "Reason":
        """Make the member of one row of the table."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.state = state
        reason.heals = heals
        reason.scope = scope
        reason.taken = taken
        reason.unforeseen = unforeseen
        return reason

    @classmethod
    def parse(cls, word: str) -> "Reason | None":
        """Return the reason of a status; None if another version of the operator wrote it."""
        return next((reason for reason in cls if reason == word), None)

    # The formatter would break the rows. The last column is `unforeseen`.
    # fmt: off
    #                        word                    state    heals       scope        taken  unf.
    INVALID_SPEC          = ("InvalidSpec",          FAILED,  EDIT,       SYNC,        False, False)
    NOT_AUTHORIZED        = ("NotAuthorized",        FAILED,  EVENT,      SYNC,        False, False)
    LOOP_DETECTED         = ("LoopDetected",         FAILED,  EDIT,       DESTINATION, False, False)
    SOURCE_NOT_FOUND      = ("SourceNotFound",       FAILED,  EVENT,      SYNC,        False, False)
    DESTINATION_CONFLICT  = ("DestinationConflict",  FAILED,  EDIT,       CONFIGMAP,   True,  False)
    DESTINATION_CONTESTED = ("DestinationContested", FAILED,  EDIT,       CONFIGMAP,   True,  False)
    CONTESTED             = ("Contested",            FAILED,  EVENT,      CONFIGMAP,   False, True)
    TOO_LARGE             = ("TooLarge",             FAILED,  EDIT,       CONFIGMAP,   False, True)
    WRITE_FAILED          = ("WriteFailed",          FAILED,  RETRY,      CONFIGMAP,   False, True)
    NAMESPACE_NOT_FOUND   = ("NamespaceNotFound",    FAILED,  EVENT,      DESTINATION, False, False)
    NAMESPACE_TERMINATING = ("NamespaceTerminating", FAILED,  EVENT,      DESTINATION, False, False)
    NAMESPACE_DISABLED    = ("NamespaceDisabled",    FAILED,  EVENT,      DESTINATION, False, False)
    SUSPENDED             = ("Suspended",            READY,   NOT_NEEDED, SYNC,        False, False)
    PROGRESSING           = ("Progressing",          PENDING, RETRY,      DESTINATION, True,  False)
    SYNCED                = ("Synced",               READY,   NOT_NEEDED, DESTINATION, False, False)
    # fmt: on


@dataclass(frozen=True, slots=True, order=True)
class Outcome:
    """The state of one destination, or of the whole sync if `namespace` is empty.

    Outcomes sort by namespace.
    """

    namespace: str
    reason: Reason
    message: str = ""
