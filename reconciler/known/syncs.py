"""How a ConfigMapSync comes off the wire: readable or not, it becomes a record, and one bad object never stops the others.

Whatever the API server let through (a schema relaxed by hand, an object older than a rule) is read as far as it can be: the metadata
always, so that a status can be written and a finalizer taken off; the spec only if it is valid.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError
from configmapsync.names import NamespacedName
from configmapsync.resource import (
    ConfigMapSync,
    ConfigMapSyncStatus,
    InvalidResource,
    ObjectMeta,
    parse,
    read_metadata,
    read_status,
)
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
        spec_digest: of the spec in JSON: an event of an object with the same spec needs
            no validation.
    """

    metadata: ObjectMeta
    raw_status: bytes
    sync: ConfigMapSync | None
    errors: tuple[FieldError, ...]
    protected: frozenset[str]
    spec_digest: bytes = b""

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

    def with_same_spec(self, metadata: ObjectMeta, raw_status: bytes) -> "SyncRecord":
        """Return the record of a later version with the same spec; the compiled selection stays."""
        sync = self.sync.model_copy(update={"metadata": metadata}) if self.sync else None
        record = replace(self, metadata=metadata, raw_status=raw_status, sync=sync)
        if "selector" in vars(self):
            vars(record)["selector"] = self.selector
        return record


Known = Callable[[NamespacedName], SyncRecord | None]


class _Document(msgspec.Struct):
    """One object, its parts not yet decoded."""

    metadata: dict[str, Any]
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Document)


def read_sync(
    raw: bytes | msgspec.Raw, protected: frozenset[str], known: Known = lambda _key: None
) -> SyncRecord:
    """Read one object as far as it can be read.

    Args:
        raw: the object in JSON.
        protected: namespaces that are destinations only by exact name.
        known: returns the cached record of a sync; a spec that has not changed since is
            neither parsed nor validated again.

    Raises:
        Malformed: it is not JSON, or not a stored object; the API server never sends
            such a thing, but a proxy may.
    """
    with decoding(WHAT):
        document = _decoder.decode(raw)
        spec = msgspec.json.decode(document.spec)
    raw_status, spec_digest = bytes(document.status), hashlib.sha256(document.spec).digest()
    try:
        metadata = read_metadata(document.metadata)
    except ValueError as error:
        raise Malformed(f"the metadata of {WHAT} cannot be read") from error
    _check_stored(metadata)
    previous = known(NamespacedName(metadata.namespace, metadata.name))
    if previous and (previous.metadata.uid, previous.spec_digest) == (metadata.uid, spec_digest):
        return previous.with_same_spec(metadata, raw_status)
    try:
        sync = with_defaults(parse({"metadata": document.metadata, "spec": spec}))
    except InvalidResource as invalid:
        return SyncRecord(metadata, raw_status, None, invalid.errors, protected, spec_digest)
    errors = tuple(validate(sync))
    return SyncRecord(
        metadata, raw_status, None if errors else sync, errors, protected, spec_digest
    )


def _check_stored(metadata: ObjectMeta) -> None:
    if not metadata.name or not (metadata.resource_version or "0").isdecimal():
        raise Malformed(f"{WHAT} has no name, or a version that is no number")
