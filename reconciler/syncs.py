"""How a ConfigMapSync comes off the wire: readable or not, it becomes a record, and one bad object never stops the others.

Whatever the API server let through (a schema relaxed by hand, an object older than a rule) is read as far as it can be: the metadata
always, so that a status can be written and a finalizer taken off; the spec only if it is valid.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError
from configmapsync.names import NamespacedName
from configmapsync.resource import ConfigMapSync, ConfigMapSyncStatus, InvalidResource, ObjectMeta, parse, read_status
from configmapsync.selection import Selector
from configmapsync.validation import validate
from kube.errors import Malformed
from kube.wire import decoding

WHAT = "the ConfigMapSync"


@dataclass(frozen=True)
class SyncRecord:
    """One ConfigMapSync as it is cached.

    Attributes:
        metadata: always readable.
        raw_status: as last written, in JSON: read, it would be half of the record's memory, and it is only asked for in a reconcile.
        sync: with every default filled in; None where the spec is not valid.
        errors: what is wrong with the spec.
        protected: namespaces that are destinations only by exact name.
    """

    metadata: ObjectMeta
    raw_status: bytes
    sync: ConfigMapSync | None
    errors: tuple[FieldError, ...]
    protected: frozenset[str]

    @property
    def namespace(self) -> str:
        """Where it lives."""
        return self.metadata.namespace

    @property
    def name(self) -> str:
        """What it is called."""
        return self.metadata.name

    @property
    def resource_version(self) -> str:
        """Its version."""
        return self.metadata.resource_version

    @property
    def key(self) -> NamespacedName:
        """The work item that stands for it."""
        return NamespacedName(self.namespace, self.name)

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return self.metadata.deletion_timestamp is not None

    @property
    def status(self) -> ConfigMapSyncStatus | None:
        """Read anew each time; None where there is none, or none that can be read."""
        return read_status(msgspec.json.decode(self.raw_status))

    @cached_property
    def selector(self) -> Selector | None:
        """Its selection of namespaces, compiled."""
        return Selector.of(self.sync, self.protected) if self.sync else None


def read_sync(raw: bytes | msgspec.Raw, protected: frozenset[str]) -> SyncRecord:
    """Read one object as far as it can be read.

    Raises:
        Malformed: it is not JSON, or not a stored object; the API server never sends such a thing, but a proxy may.
    """
    with decoding(WHAT):
        document = msgspec.json.decode(raw, type=dict[str, Any])
    raw_status = msgspec.json.encode(document.pop("status", None))
    try:
        sync = with_defaults(parse(document))
    except InvalidResource as invalid:
        _check_stored(invalid.metadata)
        return SyncRecord(invalid.metadata, raw_status, None, invalid.errors, protected)
    except ValueError as error:
        raise Malformed(f"the metadata of {WHAT} cannot be read") from error
    _check_stored(sync.metadata)
    errors = tuple(validate(sync))
    return SyncRecord(sync.metadata, raw_status, None if errors else sync, errors, protected)


def _check_stored(metadata: ObjectMeta) -> None:
    if not metadata.name or not (metadata.resource_version or "0").isdecimal():
        raise Malformed(f"{WHAT} has no name, or a version that is no number")
