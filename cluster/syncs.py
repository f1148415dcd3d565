"""Read ConfigMapSyncs, in full or in outline.

The reconciler, `plan` and the plugin use a `SyncRecord` of each sync, the webhook a
`SyncOutline`. A sync with an invalid spec has a record, too, so that the reconciler can
write a status and remove the finalizer. This module writes nothing.
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError
from configmapsync.names import GROUP, PLURAL, VERSION, NamespacedName
from configmapsync.parsing import InvalidResourceError, decode_metadata, decode_status, parse_spec
from configmapsync.resource import ConfigMapSync, ObjectMeta
from configmapsync.selection import Selector
from configmapsync.status import ConfigMapSyncStatus
from configmapsync.validation import validate
from kube.client import Kind
from kube.errors import DECODE_ERRORS, Malformed
from kube.rbac import Rule
from kube.wire import PartialObject, check_stored, decode_as

CONFIGMAPSYNCS = Kind(GROUP, VERSION, PLURAL)
SYNCS_PATH = CONFIGMAPSYNCS.path()

RULES = (Rule(PLURAL, ("list", "watch"), group=GROUP),)

WHAT = "the ConfigMapSync"


class _Document(msgspec.Struct):
    """One object, its parts not yet decoded."""

    metadata: msgspec.Raw
    spec: msgspec.Raw = msgspec.Raw(b"null")
    status: msgspec.Raw = msgspec.Raw(b"null")


_decode_document = msgspec.json.Decoder(_Document).decode


@dataclass(frozen=True, slots=True)
class SyncRecord:
    """A cached ConfigMapSync.

    Attributes:
        metadata: the fields of the metadata that the operator reads.
        raw_status: the status in JSON. Only a reconcile and its report need it parsed.
        sync: with every default filled in; None if the spec is not valid.
        selector: the compiled selection of namespaces; None if the spec is not valid.
        errors: what is wrong with the spec.
        protected: namespaces that are destinations only by exact name.
        spec_digest: of the spec in JSON.
    """

    metadata: ObjectMeta
    raw_status: bytes
    sync: ConfigMapSync | None
    selector: Selector | None
    errors: tuple[FieldError, ...]
    protected: frozenset[str]
    spec_digest: bytes

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
        """Return the namespace and name of the sync."""
        return NamespacedName(self.namespace, self.name)

    @property
    def deleting(self) -> bool:
        """Return whether the sync is being deleted."""
        return self.metadata.deletion_timestamp is not None

    @property
    def status(self) -> ConfigMapSyncStatus | None:
        """Parse the status; None if there is none, or none that can be read."""
        return decode_status(self.raw_status)

    def has_same_spec(self, other: "SyncRecord") -> bool:
        """Return whether both are versions of one object with equal `deleting` and equal specs."""
        return (self.metadata.uid, self.deleting, self.spec_digest) == (
            other.metadata.uid,
            other.deleting,
            other.spec_digest,
        )

    def with_same_spec(self, metadata: ObjectMeta, raw_status: bytes) -> "SyncRecord":
        """Return the record of a later version with the same spec."""
        sync = msgspec.structs.replace(self.sync, metadata=metadata) if self.sync else None
        return replace(self, metadata=metadata, raw_status=raw_status, sync=sync)

    def with_status(self, answer: bytes, status: ConfigMapSyncStatus) -> "SyncRecord":
        """Return the record after a write of its status, with this version as precondition.

        Args:
            answer: the object or its metadata after the write; only the version is read.
            status: the status that was written.

        Raises:
            Malformed: the answer is not a stored object.
        """
        version = decode_as(answer, PartialObject, WHAT).metadata.resource_version
        metadata = msgspec.structs.replace(self.metadata, resource_version=version)
        check_stored(self.name, version, WHAT)
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
        Malformed: the object is not a stored object; a proxy may send one.
    """
    metadata, document = _decode(raw)
    raw_status, digest = bytes(document.status), hashlib.sha256(document.spec).digest()
    previous = known(NamespacedName(metadata.namespace, metadata.name))
    if previous and (previous.metadata.uid, previous.spec_digest) == (metadata.uid, digest):
        return previous.with_same_spec(metadata, raw_status)
    sync: ConfigMapSync | None
    try:
        sync = _parse(document.spec, metadata)
        errors = tuple(validate(sync))
    except InvalidResourceError as invalid:
        errors = invalid.errors
    if errors:
        sync = None
    selector = Selector.of(sync, protected) if sync else None
    return SyncRecord(metadata, raw_status, sync, selector, errors, protected, digest)


class SyncOutline(msgspec.Struct):
    """A ConfigMapSync in little memory, for a cache whose owner keeps the specs in another form.

    Attributes:
        namespace: of the sync.
        name: of the sync.
        resource_version: the version that was read.
        uid: of the sync.
        deleting: whether the sync is being deleted.
        spec_digest: of the spec in JSON.
        sync: with every default filled in; `validation.py` has not checked it. None if the spec
            cannot be parsed, or equals that of the previous outline; the owner of the cache sets
            it to None after its use.
    """

    namespace: str
    name: str
    resource_version: str
    uid: str
    deleting: bool
    spec_digest: bytes
    sync: ConfigMapSync | None = None

    def is_same(self, other: "SyncOutline") -> bool:
        """Return whether both are versions of one object with equal `deleting` and equal specs."""
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
        Malformed: the object is not a stored object; a proxy may send one.
    """
    metadata, document = _decode(raw)
    outline = SyncOutline(
        metadata.namespace,
        metadata.name,
        resource_version=metadata.resource_version,
        uid=metadata.uid,
        deleting=metadata.deletion_timestamp is not None,
        spec_digest=hashlib.sha256(document.spec).digest(),
    )
    previous = known(NamespacedName(outline.namespace, outline.name))
    if previous is None or not outline.is_same(previous):
        with suppress(InvalidResourceError):
            outline.sync = _parse(document.spec, metadata)
    return outline


def _decode(raw: bytes | msgspec.Raw) -> tuple[ObjectMeta, _Document]:
    """Decode the metadata of an object, and find its spec and its status.

    Raises:
        Malformed: it is not JSON, or not a stored object. The API server never sends such
            an object, but a proxy may.
    """
    try:
        document = _decode_document(raw)
        metadata = decode_metadata(document.metadata)
    except (*DECODE_ERRORS, ValueError) as error:
        raise Malformed(f"{WHAT} cannot be decoded") from error
    check_stored(metadata.name, metadata.resource_version, WHAT)
    return metadata, document


def _parse(raw_spec: msgspec.Raw, metadata: ObjectMeta) -> ConfigMapSync:
    """Parse the spec and fill in the defaults.

    Raises:
        InvalidResourceError: the spec does not have the right shape.
        Malformed: the spec is not JSON.
    """
    document = decode_as(raw_spec, Any, WHAT)
    return with_defaults(ConfigMapSync(metadata, parse_spec(document)))
