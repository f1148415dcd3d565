"""Remembers what was written to each copy of late, and who wrote over it: the state behind `configmapsync/contention.py`, which decides.

`applier.py` tells of every write, `reconcile.py` asks what is to be left alone. Nothing is remembered over a restart: a fight that goes on
shows itself again, after five more writes.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from configmapsync.conditions import MOST_FAILURES
from configmapsync.contention import (
    NO_CONTENT,
    WINDOW_SECONDS,
    History,
    Interference,
    Owner,
    WriteRecord,
    contention_message,
    record_write,
)
from configmapsync.copies import CopyRecord
from configmapsync.names import DIGEST, NamespacedName
from configmapsync.plans import ContestedCopy, Write
from kube.client import CONFIGMAPS, Client
from kube.errors import ApiError
from kube.rbac import Rule
from reconciler.known.configmaps import read_last_manager
from reconciler.reports.metrics import Metrics
from reconciler.writes.writer import MANAGER

RULES = (Rule("configmaps", ("get",), why="who keeps rewriting a copy"),)

FOREIGN_VERSION = ""  # no version of ours

Place = NamespacedName
CopyAt = Callable[[Place], CopyRecord | None]


@dataclass(slots=True)
class _ContestedCopy:
    """A copy that something keeps rewriting.

    Attributes:
        until: when we write to it again, on the event loop's clock.
        interference: what undoes our writes.
        manager: the field manager that wrote over us; None while it is not known.
        left: the version that our last write made; None where it took the object away.
        owner: the sync and the namespace that the copy belonged to.
        asked: whether the copy was looked at since then, for the name of whoever wrote over us.
    """

    until: float
    interference: Interference
    manager: str | None
    left: str | None
    owner: Owner
    asked: bool = False


class Contention:
    """The fights that go on."""

    def __init__(
        self,
        client: Client,
        copy_at: CopyAt,
        owner_of: Callable[[NamespacedName, Place], Owner],
        metrics: Metrics,
        now: Callable[[], float],
        interval: float,
    ) -> None:
        """Begin without a memory.

        Args:
            client: of the API server.
            copy_at: the copy at a place, as it is cached.
            owner_of: the sync and the namespace of a copy as they are cached.
            metrics: count what begins to be contested.
            now: the event loop's clock.
            interval: seconds between two writes to a contested copy.
        """
        self._client = client
        self._copy_at = copy_at
        self._owner_of = owner_of
        self._metrics = metrics
        self._now = now
        self._interval = interval
        self._histories: OrderedDict[tuple[NamespacedName, Place], History] = (
            OrderedDict()
        )  # by the time of the last write
        self._contested_copies: dict[NamespacedName, dict[Place, _ContestedCopy]] = {}

    def wrote(self, sync: NamespacedName, write: Write) -> bool:
        """Remember a write that the API server took; returns whether it only repaired what something else had changed."""
        history = self._remember(sync, write, self._done(write))
        return bool(history.repairs) and history.repairs[-1] == history.last.at

    def lost_race(self, sync: NamespacedName, write: Write) -> None:
        """Remember a write that came too late: somebody else had written the copy. Who does so all the time would keep us trying for ever."""
        if write.template is not None:
            self._remember(sync, write, replace(self._done(write), stored=FOREIGN_VERSION))

    async def observe(self, sync: NamespacedName) -> dict[NamespacedName, ContestedCopy]:
        """Return the contested copies of a sync, and forget what is over.

        The message names the field manager that rewrites the copy. It is read from the API server for
        as many copies as a status lists.
        """
        contested = self._contested_copies.get(sync, {})
        now = self._now()
        for key in [key for key, copy in contested.items() if self._is_over(sync, key, copy, now)]:
            del contested[key]
        for key in sorted(key for key, copy in contested.items() if now < copy.until)[
            :MOST_FAILURES
        ]:
            await self._find_manager(key, contested[key])
        return {
            key: ContestedCopy(
                contention_message(key, copy.interference, copy.manager, self._interval),
                deferred=now < copy.until,
            )
            for key, copy in contested.items()
        }

    def _is_over(
        self, sync: NamespacedName, key: NamespacedName, copy: _ContestedCopy, now: float
    ) -> bool:
        return now - copy.until > WINDOW_SECONDS or copy.owner != self._owner_of(sync, key)

    def next_write_in(self, sync: NamespacedName) -> float | None:
        """Seconds until a contested copy of `sync` may be written again; None where none is contested."""
        now = self._now()
        waits = (contest.until - now for contest in self._contested_copies.get(sync, {}).values())
        return min((wait for wait in waits if wait > 0), default=None)

    def forget(self, sync: NamespacedName) -> None:
        """A sync is gone, and its fights with it."""
        self._contested_copies.pop(sync, None)

    def _remember(self, sync: NamespacedName, write: Write, done: WriteRecord) -> History:
        previous = self._histories.pop((sync, write.key), None)
        history = self._histories[sync, write.key] = record_write(
            previous, done, owner=self._owner_of(sync, write.key), drifted=_drifted(write)
        )
        self._forget_old()
        if history.contested:
            self._contest(sync, write.key, history)
        return history

    def _done(self, write: Write) -> WriteRecord:
        found = write.record.resource_version if write.record else None
        copy = self._copy_at(write.key) if write.template else None
        content_hash = write.template.content_hash if write.template else NO_CONTENT
        return WriteRecord(
            content_hash, self._now(), found, copy.resource_version if copy else None
        )

    def _contest(self, sync: NamespacedName, place: Place, history: History) -> None:
        contests = self._contested_copies.setdefault(sync, {})
        previous = contests.get(place)
        if previous is None:
            self._metrics.contested()
        contests[place] = _ContestedCopy(
            until=history.last.at + self._interval,
            interference=history.interference,
            manager=previous.manager if previous and previous.owner == history.owner else None,
            left=history.last.stored,
            owner=history.owner,
        )

    async def _find_manager(self, place: Place, contest: _ContestedCopy) -> None:
        """Read which field manager rewrote a copy.

        The copy is read once after each write of ours that was undone. The next write of ours removes the
        trace.
        """
        copy = self._copy_at(place)
        if contest.asked or copy is None or copy.resource_version == contest.left:
            return
        contest.asked = True
        try:
            answer = await self._client.get(CONFIGMAPS, *place)
        except ApiError:
            return  # a name is a courtesy
        contest.manager = read_last_manager(answer, MANAGER) or contest.manager

    def _forget_old(self) -> None:
        """What was not written for long is in no fight, so that memory follows the writes of the last minutes."""
        oldest = self._now() - WINDOW_SECONDS
        while next(iter(self._histories.values())).last.at < oldest:
            self._histories.popitem(last=False)


def _drifted(write: Write) -> bool:
    """Whether the copy itself shows that somebody changed its content: its mark says what we write again, its content does not."""
    if write.template is None or write.record is None:
        return False
    return write.record.annotations.get(DIGEST) == write.template.digest != write.record.digest
