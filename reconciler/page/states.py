"""Reduce the reason of a sync or copy to the few states that the page shows.

Rows, counts and filters use these states. The reasons and their meaning are in
`configmapsync/reasons.py`.
"""

from enum import StrEnum

from configmapsync import reasons
from configmapsync.reasons import Reason


class State(StrEnum):
    """The state of a sync or a copy; the order is that of importance."""

    FAILED = "failed"
    PROGRESSING = "progressing"
    ORPHANED = "orphaned"  # a copy whose sync does not exist
    SUSPENDED = "suspended"
    SYNCED = "synced"


RANK = {state: rank for rank, state in enumerate(State)}


def state_of(word: str) -> State:
    """Return the state of a reason word; an unknown or empty word is Progressing."""
    reason = Reason.parse(word)
    if reason is Reason.SUSPENDED:
        return State.SUSPENDED
    if reason is None or reason.state is reasons.PENDING:
        return State.PROGRESSING
    return State.FAILED if reason.state is reasons.FAILED else State.SYNCED
