"""Record the recent writes to each copy, and find contested copies.

`applier.py` reports writes that succeeded or lost a race, `reconcile.py` asks which
copies are contested. The rules are in `configmapsync/contention.py`. A restart drops
the records: a copy that is still contested is found again after a few more writes.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from configmapsync.contention import WINDOW_SECONDS, History, Owner, WriteRecord, record_write
from configmapsync.names import DIGEST, NamespacedName
from configmapsync.plans import ContestedCopy, Write
from configmapsync.status import MOST_LISTED_FAILURES
from kube.client import CONFIGMAPS, Client
from kube.errors import ApiError
from kube.rbac import Rule
from kube.wire import decode_as
from reconciler.known.caches import Caches
from reconciler.reports.metrics import Metrics
from reconciler.writes.writer import MANAGER

RULES = (Rule("configmaps", ("get",), why="names the field manager that keeps rewriting a copy"),)

# Stands for the version of another client's write.
FOREIGN_VERSION = ""


class _ManagedFields(msgspec.Struct):
    """One entry of metadata.managedFields."""

    manager: str = ""
    time: str = ""


class _ManagedFieldsMetadata(msgspec.Struct, rename="camel"):
    managed_fields: list[_ManagedFields] | None = None


class _WithManagedFields(msgspec.Struct):
    metadata: _ManagedFieldsMetadata


@dataclass(slots=True)
class _ContestedCopy:
    """A copy that something keeps rewriting.

    Attributes:
        history: the writes of the reconciler, when they last made the copy contested.
        manager: the field manager that rewrites it; None if unknown.
        asked: whether the field manager was read since the last write.
    """

    history: History
    manager: str | None
    asked: bool = False


@dataclass(slots=True)
class Contention:
    """Records the writes to copies, and which copies are contested.

    Attributes:
        client: of the API server.
        caches: hold the copies and their owners.
        metrics: counts copies that become contested.
        now: the event loop's clock, in seconds.
        interval: seconds between two writes of a contested copy.
    """

    client: Client
    caches: Caches
    metrics: Metrics
    now: Callable[[], float]
    interval: float
    # By sync and copy, in the order of their last write.
    _histories: OrderedDict[tuple[NamespacedName, NamespacedName], History] = field(
        init=False, default_factory=OrderedDict
    )
    _contested_copies: dict[NamespacedName, dict[NamespacedName, _ContestedCopy]] = field(
        init=False, default_factory=dict
    )

    def wrote(self, sync: NamespacedName, write: Write) -> bool:
        """Record a write that succeeded; return whether it undid a change by another writer."""
        copy = self.caches.copy_at(write.key) if write.template else None
        history = self._remember(sync, write, copy.resource_version if copy else None)
        return bool(history.repairs) and history.repairs[-1] == history.last.at

    def lost_race(self, sync: NamespacedName, write: Write) -> None:
        """Record a write that failed because another client wrote the copy first.

        A client that writes all the time would otherwise cause retries without end.
        """
        if write.template is not None:
            self._remember(sync, write, FOREIGN_VERSION)

    async def contested_copies(self, sync: NamespacedName) -> dict[NamespacedName, ContestedCopy]:
        """Return the contested copies of a sync.

        The field manager that rewrites a copy is read from the API server, for as many copies as a
        status lists.
        """
        contested = {
            key: copy
            for key, copy in self._contested_copies.get(sync, {}).items()
            if not self._is_over(sync, key, copy)
        }
        waits = {key: self._wait_seconds(copy) for key, copy in contested.items()}
        deferred = sorted(key for key, wait in waits.items() if wait > 0)
        for key in deferred[:MOST_LISTED_FAILURES]:
            await self._find_manager(key, contested[key])
        return {
            key: ContestedCopy(
                copy.history.interference,
                copy.manager,
                wait_seconds=max(waits[key], 0.0),
                interval_seconds=self.interval,
            )
            for key, copy in contested.items()
        }

    def _wait_seconds(self, copy: _ContestedCopy) -> float:
        """Return the seconds until a copy may be written again; negative if it may be now."""
        return copy.history.last.at + self.interval - self.now()

    def _is_over(self, sync: NamespacedName, key: NamespacedName, copy: _ContestedCopy) -> bool:
        owner = self._owner_of(sync, key)
        are_both_gone = not owner.sync_uid and self.caches.copy_at(key) is None
        is_quiet = self._wait_seconds(copy) < -WINDOW_SECONDS
        return is_quiet or copy.history.owner != owner or are_both_gone

    def _owner_of(self, sync: NamespacedName, key: NamespacedName) -> Owner:
        record = self.caches.syncs.get(*sync)
        namespace = self.caches.namespaces_by_name.get(key.namespace)
        return Owner(
            sync_uid=record.metadata.uid if record else "",
            deleting=record is not None and record.deleting,
            namespace_uid=namespace.uid if namespace else "",
        )

    def _remember(self, sync: NamespacedName, write: Write, stored: str | None) -> History:
        """Add a write to the history of its copy; `stored` is the version that it made."""
        replaced = write.record.resource_version if write.record else None
        done = WriteRecord(write.content_hash, self.now(), replaced, stored)
        previous = self._histories.pop((sync, write.key), None)
        history = self._histories[sync, write.key] = record_write(
            previous, done, self._owner_of(sync, write.key), drifted=_drifted(write)
        )
        self._forget_old()
        if history.contested:
            self._contest(sync, write.key, history)
        return history

    def _contest(self, sync: NamespacedName, key: NamespacedName, history: History) -> None:
        contested = self._contested_copies.setdefault(sync, {})
        previous = contested.get(key)
        if previous is None or self._is_over(sync, key, previous):
            previous = None
            self.metrics.contested.inc()
        contested[key] = _ContestedCopy(history, previous.manager if previous else None)

    async def _find_manager(self, key: NamespacedName, contested: _ContestedCopy) -> None:
        """Read which field manager rewrote a copy.

        The copy is read once after each write of the reconciler that was undone. The next write
        removes the trace of the other field manager.
        """
        copy = self.caches.copy_at(key)
        if (
            contested.asked
            or copy is None
            or copy.resource_version == contested.history.last.stored
        ):
            return
        contested.asked = True
        try:
            answer = await self.client.get(CONFIGMAPS, *key, metadata_only=True)
        except ApiError:
            return  # the name is not necessary
        contested.manager = read_last_manager(answer, MANAGER) or contested.manager

    def _forget_old(self) -> None:
        """Forget copies without a recent write, which bounds the memory."""
        oldest = self.now() - WINDOW_SECONDS - self.interval
        while next(iter(self._histories.values())).last.at < oldest:
            (sync, key), _ = self._histories.popitem(last=False)
            contested = self._contested_copies.get(sync, {})
            contested.pop(key, None)
            if not contested:
                self._contested_copies.pop(sync, None)


def _drifted(write: Write) -> bool:
    """Return whether another client changed the content of a copy, but not its marks."""
    if write.template is None or write.record is None:
        return False
    return write.record.annotations.get(DIGEST) == write.template.digest != write.record.digest


def read_last_manager(raw: bytes, excluding: str) -> str | None:
    """Return the field manager that wrote an object last; None if unknown.

    Args:
        raw: the object in JSON.
        excluding: the field manager to skip.
    """
    metadata = decode_as(raw, _WithManagedFields, "the ConfigMap").metadata
    entries = metadata.managed_fields or []
    others = [entry for entry in entries if entry.manager and entry.manager != excluding]
    return max(others, key=lambda entry: entry.time).manager if others else None
