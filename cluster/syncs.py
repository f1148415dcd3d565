"""Reads ConfigMapSyncs, in full or in outline.

The reconciler caches a `SyncRecord` of each sync, the webhook an outline. An object
that the API server should have rejected (a schema relaxed by hand, an object older than
a rule) is read as far as possible: its metadata always, so that the reconciler can
write a status and remove the finalizer; its spec only if it is valid. This module
writes nothing.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import msgspec

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError
from configmapsync.names import GROUP, PLURAL, VERSION, NamespacedName
from configmapsync.parsing import (
    InvalidResourceError,
    decode_metadata,
    decode_status,
    parse_spec,
)
from configmapsync.resource import ConfigMapSync, ObjectMeta
from configmapsync.selection import Selector
from configmapsync.status import ConfigMapSyncStatus
from configmapsync.validation import validate
from kube.client import Kind
from kube.errors import Malformed
from kube.rbac import Rule
from kube.wire import decode_version, decoding

CONFIGMAPSYNCS = Kind(GROUP, VERSION, PLURAL)
SYNCS_PATH = CONFIGMAPSYNCS.path()

RULES = (Rule(PLURAL, ("list", "watch"), group=GROUP),)

WHAT = "the ConfigMapSync"


class _Document(msgspec.Struct):
    """One object, its parts not yet decoded."""

    metadata: msgspec.Raw
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


class _Identity(msgspec.Struct, rename="camel"):
    """The metadata that an outline keeps."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    deletion_timestamp: str | None = None


class _Identified(msgspec.Struct):
    """One object; of most events only the identity and the text of the spec matter."""

    metadata: _Identity
    spec: msgspec.Raw = msgspec.Raw(b"null")


_decoder = msgspec.json.Decoder(_Document)
_identity_decoder = msgspec.json.Decoder(_Identified)


@dataclass(frozen=True, slots=True)
class StoredSync:
    """A ConfigMapSync as the API server sent it, its spec not yet parsed.

    Attributes:
        metadata: the fields of the metadata that the operator reads.
        raw_spec: the spec in JSON.
        raw_status: the status in JSON.
        spec_digest: of the spec in JSON; an object with the same UID and digest needs no
            parsing.
    """

    metadata: ObjectMeta
    raw_spec: msgspec.Raw
    raw_status: bytes
    spec_digest: bytes

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the sync."""
        return NamespacedName(self.metadata.namespace, self.metadata.name)

    def parse(self) -> ConfigMapSync:
        """Parse the spec and fill in the defaults.

        Raises:
            InvalidResourceError: the spec does not have the right shape.
            Malformed: the spec is not JSON.
        """
        with decoding(WHAT):
            document = msgspec.json.decode(self.raw_spec)
        spec = parse_spec(document, self.metadata)
        return with_defaults(ConfigMapSync(self.metadata, spec))


def decode_sync(raw: bytes | msgspec.Raw) -> StoredSync:
    """Decode one object without parsing its spec.

    Args:
        raw: the object in JSON.

    Raises:
        Malformed: it is not JSON, or not a stored object. The API server never sends such
            an object, but a proxy may.
    """
    with decoding(WHAT):
        document = _decoder.decode(raw)
    try:
        metadata = decode_metadata(document.metadata)
    except ValueError as error:
        raise Malformed(f"the metadata of {WHAT} cannot be read") from error
    _check_stored(metadata)
    return StoredSync(
        metadata=metadata,
        raw_spec=document.spec,
        raw_status=bytes(document.status),
        spec_digest=hashlib.sha256(document.spec).digest(),
    )


@dataclass(frozen=True)
class SyncRecord:
    """A cached ConfigMapSync.

    Attributes:
        metadata: the fields of the metadata that the operator reads.
        raw_status: the status in JSON. Only a reconcile and its report need it parsed.
        sync: with every default filled in; None if the spec is not valid.
        errors: what is wrong with the spec.
        protected: namespaces that are destinations only by exact name.
        spec_digest: of the spec in JSON.
    """

    metadata: ObjectMeta
    raw_status: bytes
    sync: ConfigMapSync | None
    errors: tuple[FieldError, ...]
    protected: frozenset[str]
    spec_digest: bytes = b""

    @property
    def namespace(self) -> str:
        """Return the namespace of the sync."""
        return self.metadata.namespace

    @property
    def name(self) -> str:
        """Return the name of the sync."""
        return self.metadata.name

    @property
    def resource_version(self) -> str:
        """Return the version that was read."""
        return self.metadata.resource_version

    @property
    def key(self) -> NamespacedName:
        """Return the work item of the sync."""
        return NamespacedName(self.namespace, self.name)

    @property
    def deleting(self) -> bool:
        """Return whether the sync is being deleted."""
        return self.metadata.deletion_timestamp is not None

    @property
    def status(self) -> ConfigMapSyncStatus | None:
        """Parse the status; None if there is none, or none that can be read."""
        return decode_status(self.raw_status)

    @cached_property
    def selector(self) -> Selector | None:
        """Return the compiled selection of namespaces; None if the spec is not valid."""
        return Selector.of(self.sync, self.protected) if self.sync else None

    def has_same_spec(self, other: "SyncRecord") -> bool:
        """Return whether both are versions of one object with equal specs."""
        return (self.metadata.uid, self.deleting, self.spec_digest) == (
            other.metadata.uid,
            other.deleting,
            other.spec_digest,
        )

    def with_same_spec(self, metadata: ObjectMeta, raw_status: bytes) -> "SyncRecord":
        """Return the record of a later version with the same spec and compiled selection."""
        sync = msgspec.structs.replace(self.sync, metadata=metadata) if self.sync else None
        record = replace(self, metadata=metadata, raw_status=raw_status, sync=sync)
        if "selector" in vars(self):
            vars(record)["selector"] = self.selector
        return record

    def with_status(self, answer: bytes, status: ConfigMapSyncStatus) -> "SyncRecord":
        """Return the record after a status was written that had this version as precondition.

        Args:
            answer: the object or its metadata after the write; only the version is read.
            status: the status that was written.

        Raises:
            Malformed: the answer is not a stored object.
        """
        with decoding(WHAT):
            version = decode_version(answer).resource_version
        metadata = msgspec.structs.replace(self.metadata, resource_version=version)
        _check_stored(metadata)
        return self.with_same_spec(metadata, msgspec.json.encode(status))


def read_sync(
    raw: bytes | msgspec.Raw,
    protected: frozenset[str],
    known: Callable[[NamespacedName], SyncRecord | None] = lambda _key: None,
) -> SyncRecord:
    """Return the record of a sync.

    Args:
        raw: the object in JSON.
        protected: namespaces that are destinations only by exact name.
        known: returns the cached record of a sync. A spec that has not changed since is
            neither parsed nor validated again.

    Raises:
        Malformed: as of `decode_sync`.
    """
    stored = decode_sync(raw)
    metadata, raw_status, digest = stored.metadata, stored.raw_status, stored.spec_digest
    previous = known(stored.key)
    if previous and (previous.metadata.uid, previous.spec_digest) == (metadata.uid, digest):
        return previous.with_same_spec(metadata, raw_status)
    try:
        sync = stored.parse()
    except InvalidResourceError as invalid:
        return SyncRecord(metadata, raw_status, None, invalid.errors, protected, digest)
    errors = tuple(validate(sync))
    return SyncRecord(metadata, raw_status, None if errors else sync, errors, protected, digest)


class SyncOutline(msgspec.Struct):
    """A ConfigMapSync in little memory, for a cache whose owner keeps the specs in another form.

    Attributes:
        namespace: of the sync.
        name: of the sync.
        resource_version: the version that was read.
        uid: of the sync.
        deleting: whether the sync is being deleted.
        spec_digest: of the spec in JSON.
        sync: with every default filled in. None if the spec cannot be parsed, or equals that of
            the previous outline; the owner of the cache sets it to None after its use.
    """

    namespace: str
    name: str
    resource_version: str
    uid: str
    deleting: bool
    spec_digest: bytes
    sync: ConfigMapSync | None = None

    def is_same(self, other: "SyncOutline") -> bool:
        """Return whether both are versions of one object with equal specs."""
        return (self.uid, self.deleting, self.spec_digest) == (
            other.uid,
            other.deleting,
            other.spec_digest,
        )


def read_outline(
    raw: msgspec.Raw, known: Callable[[NamespacedName], SyncOutline | None]
) -> SyncOutline:
    """Return the outline of a sync.

    Args:
        raw: the object in JSON.
        known: returns the cached outline of a sync. A spec that has not changed since is not
            parsed again.

    Raises:
        Malformed: as of `decode_sync`.
    """
    with decoding(WHAT):
        shown = _identity_decoder.decode(raw)
    metadata = shown.metadata
    outline = SyncOutline(
        metadata.namespace,
        metadata.name,
        resource_version=metadata.resource_version,
        uid=metadata.uid,
        deleting=metadata.deletion_timestamp is not None,
        spec_digest=hashlib.sha256(shown.spec).digest(),
    )
    previous = known(NamespacedName(outline.namespace, outline.name))
    if previous is None or not outline.is_same(previous):
        stored = decode_sync(raw)
        with suppress(InvalidResourceError):
            outline.sync = stored.parse()
    else:
        _check_stored(metadata)
    return outline


def _check_stored(metadata: ObjectMeta | _Identity) -> None:
    if not metadata.name or not (metadata.resource_version or "0").isdecimal():
        raise Malformed(f"{WHAT} has no name, or a version that is no number")
