"""Something else keeps rewriting a copy: when that is a fight, and how we keep out of it. Pure; times are seconds on any clock.

A write that says the same as our last one at that place is a repair. What a source's or a sync's own edit brings is none, and a person who
changes a copy now and then makes no fight. From the fifth repair in ten minutes on we write at most once a minute, and whoever wins in
between is named. It is over when a copy has stayed as we wrote it for as long. `reconciler/writes/contention.py` remembers the histories.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from configmapsync.names import NamespacedName

REPAIRS = 5  # that make a fight
WINDOW_SECONDS = 600.0  # seconds
NO_CONTENT = 0  # what a delete or a release says


class Opponent(StrEnum):
    """What undoes our writes, as far as the copy itself shows it."""

    WRITER = "writer"  # somebody writes it after us
    REMOVER = "remover"  # somebody deletes it, or brings back what we removed
    ADMISSION = "admission"  # what is stored is not what we sent: a mutating webhook is in between


@dataclass(frozen=True, slots=True)
class ContestedCopy:
    """A copy that something keeps rewriting, as a plan observes it.

    Attributes:
        message: what happens to the copy, for people.
        deferred: whether it is too early to write the copy again.
    """

    message: str
    deferred: bool


@dataclass(frozen=True, slots=True)
class Done:
    """One write of ours that the API server took.

    Attributes:
        content_hash: all it says (`CopyTemplate.saying`), or `NO_CONTENT`.
        at: when, in seconds.
        found: the version it replaced; None where it made the object.
        left: the version it made; None where it took the object away.
    """

    content_hash: int
    at: float
    found: str | None
    left: str | None


class Owner(NamedTuple):
    """Whose history it is: a sync or namespace that was recreated under its name starts with a clean one.

    Attributes:
        sync_uid: of the sync; empty where it does not exist.
        deleting: whether the sync is being deleted, for its deletion must not wait because of what was before.
        namespace_uid: of the namespace; empty where it does not exist.
    """

    sync_uid: str
    deleting: bool
    namespace_uid: str


NO_OWNER = Owner("", False, "")


@dataclass(frozen=True, slots=True)
class History:
    """What there is to remember of our writes to one copy.

    Attributes:
        last: the newest of them.
        repairs: when we had to say the same again, the last few times within ten minutes.
        opponent: what made the last repair necessary.
        owner: the sync and the namespace whose history it is.
    """

    last: Done
    repairs: tuple[float, ...] = ()
    opponent: Opponent = Opponent.WRITER
    owner: Owner = NO_OWNER

    @property
    def contested(self) -> bool:
        """Whether something keeps rewriting the copy."""
        return len(self.repairs) >= REPAIRS


def record_write(
    history: History | None, done: Done, *, owner: Owner = NO_OWNER, drifted: bool = False
) -> History:
    """The history with one more write.

    Args:
        history: what was remembered; None where nothing is.
        done: the write.
        owner: the sync and the namespace of the write.
        drifted: whether the copy itself showed that it said the same before; asked only where nothing is remembered.
    """
    if history is None or history.owner != owner:
        return History(done, (done.at,) if drifted else (), owner=owner)
    recent = tuple(at for at in history.repairs if done.at - at < WINDOW_SECONDS)
    if history.last.content_hash != done.content_hash:
        return replace(history, last=done, repairs=recent)
    return History(done, (*recent, done.at)[-REPAIRS:], _opponent(history.last, done), owner)


def _opponent(before: Done, now: Done) -> Opponent:
    if before.left is None or now.found is None:
        return Opponent.REMOVER
    return Opponent.ADMISSION if before.left == now.found else Opponent.WRITER


def sentence(place: NamespacedName, opponent: Opponent, manager: str | None, seconds: float) -> str:
    """What is going on, for people; it does not change while the fight goes on.

    Args:
        place: of the copy.
        opponent: what undoes our writes.
        manager: the field manager that wrote last, where it is known.
        seconds: how often we still write.
    """
    match opponent:
        case Opponent.REMOVER:
            what = f'something keeps deleting ConfigMap "{place}", or bringing it back'
        case Opponent.ADMISSION:
            what = f'an admission webhook changes what is written to ConfigMap "{place}"'
        case _:
            who = f'field manager "{manager}"' if manager else "something"
            what = f'{who} keeps rewriting ConfigMap "{place}"'
    return f"{what}; until that stops, it is written at most every {seconds:g} s"
