"""Decode ConfigMaps into what is kept of them.

A copy becomes a `CopyRecord` with the digest of its content, a source keeps its
content, and of any other ConfigMap only the version is read. The caches, the reads of
sources, the writer, `plan` and the plugin call it. Every function raises `Malformed` if
the object cannot be decoded.
"""

from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from configmapsync.content import (
    MOST_HASHED_KEYS,
    MOST_SOURCE_KEYS,
    TOO_MANY_KEYS,
    Content,
    SourceObject,
    digest,
)
from configmapsync.copies import CopyRecord, abridge
from configmapsync.names import NamespacedName
from kube.errors import DECODE_ERRORS, Malformed
from kube.wire import ObjectMeta, check_stored, decode_as


class _CopyMeta(ObjectMeta, rename="camel", frozen=True):
    """Metadata with the fields of other owners, which a PUT must repeat."""

    finalizers: list[str] | None = None
    owner_references: list[dict[str, Any]] | None = None
    generate_name: str = ""

    def others(self) -> dict[str, Any]:
        present = {
            "finalizers": self.finalizers,
            "ownerReferences": self.owner_references,
            "generateName": self.generate_name,
        }
        return {field: value for field, value in present.items() if value}


class _Content(msgspec.Struct, rename="camel"):
    """The content of a ConfigMap, its parts not yet decoded."""

    data: msgspec.Raw = msgspec.Raw(b"null")
    binary_data: msgspec.Raw = msgspec.Raw(b"null")
    immutable: bool | None = None


class _ConfigMap(_Content, kw_only=True, rename="camel"):
    metadata: _CopyMeta

    def key_count(self) -> int:
        """Return the number of keys, or a few more, without decoding them.

        The API server writes `":"` between a key and its value. It escapes a quote inside a value,
        so that the three characters occur elsewhere only if a value begins with a colon.
        """
        return sum(bytes(part).count(b'":"') for part in (self.data, self.binary_data))

    def content(self) -> Content:
        try:
            data = _decode_part("data", self.data)
            binary_data = _decode_part("binaryData", self.binary_data)
        except DECODE_ERRORS as error:
            raise Malformed(f"{WHAT} cannot be decoded") from error
        return Content(data, binary_data, immutable=bool(self.immutable))


def _decode_part(field: str, part: msgspec.Raw) -> dict[str, str]:
    try:
        return _part_decoder.decode(part) or {}
    except msgspec.ValidationError as error:  # its text names types and the path, never a value
        raise msgspec.ValidationError(str(error).replace("`$", f"`$.{field}", 1)) from error


class ConfigMapVersion(msgspec.Struct, frozen=True, gc=False):
    """The version of a ConfigMap."""

    namespace: str
    name: str
    resource_version: str


class _Identity(msgspec.Struct):
    """A ConfigMap, or its metadata alone. The metadata of a list item has no kind or its own."""

    metadata: ObjectMeta
    kind: str = ""


class _OnlyCopyMetadata(msgspec.Struct):
    metadata: _CopyMeta


_Decoded = TypeVar("_Decoded", _ConfigMap, _Identity, _OnlyCopyMetadata)

_part_decoder = msgspec.json.Decoder(dict[str, str] | None)
WHAT = "the ConfigMap"


def _decode(shape: type[_Decoded], raw: bytes | msgspec.Raw) -> _Decoded:
    decoded = decode_as(raw, shape, WHAT)
    metadata = decoded.metadata
    check_stored(metadata.name, metadata.resource_version, WHAT)
    return decoded


def read_copy(raw: bytes | msgspec.Raw) -> CopyRecord:
    """Return the record of a copy, without metadata that is too large for the cache."""
    return abridge(read_whole_copy(raw))


def read_whole_copy(raw: bytes | msgspec.Raw) -> CopyRecord:
    """Return the record of a copy with all metadata, as a write needs it."""
    configmap = _decode(_ConfigMap, raw)
    many = configmap.key_count() > MOST_HASHED_KEYS
    content_digest = TOO_MANY_KEYS if many else digest(configmap.content())
    return _copy_record(configmap.metadata, content_digest, immutable=bool(configmap.immutable))


def read_metadata(raw: bytes | msgspec.Raw, content_digest: str, *, immutable: bool) -> CopyRecord:
    """Return the record of a copy from a metadata-only answer, with all metadata.

    Args:
        raw: the answer.
        content_digest: of the content, which the answer does not hold.
        immutable: whether the copy is immutable, which the answer does not say.
    """
    metadata = _decode(_OnlyCopyMetadata, raw).metadata
    return _copy_record(metadata, content_digest, immutable=immutable)


def read_source(raw: bytes | msgspec.Raw) -> SourceObject:
    """Return a ConfigMap as a source, without its content if it has too many keys."""
    configmap = _decode(_ConfigMap, raw)
    metadata, too_many_keys = configmap.metadata, configmap.key_count()
    content = Content({}, {}, bool(configmap.immutable))
    if too_many_keys <= MOST_HASHED_KEYS:
        content = configmap.content()
        too_many_keys = content.key_count if content.key_count > MOST_SOURCE_KEYS else 0
    return SourceObject(
        key=NamespacedName(metadata.namespace, metadata.name),
        resource_version=metadata.resource_version,
        content=Content({}, {}, content.immutable) if too_many_keys else content,
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        too_many_keys=too_many_keys,
    )


def read_identity(raw: bytes | msgspec.Raw) -> tuple[ConfigMapVersion, bool]:
    """Return the name and the version of a ConfigMap, and whether `raw` has its content."""
    found = _decode(_Identity, raw)
    metadata = found.metadata
    version = ConfigMapVersion(metadata.namespace, metadata.name, metadata.resource_version)
    return version, found.kind == "ConfigMap"


def _copy_record(metadata: _CopyMeta, content_digest: str, *, immutable: bool) -> CopyRecord:
    return CopyRecord(
        namespace=metadata.namespace,
        name=metadata.name,
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        digest=content_digest,
        labels=metadata.labels or {},
        annotations=metadata.annotations or {},
        immutable=immutable,
        deleting=metadata.deletion_timestamp is not None,
        others=metadata.others(),
    )


class WrittenContent:
    """Confirms that stored copies have the content that was written.

    The answer to a write has metadata only, and an admission webhook can change the content on its
    way into the storage. The copies of one source follow each other in the watch with equal bytes,
    so that the digest is computed once for all of them.
    """

    def __init__(self) -> None:
        self._last: tuple[bytes, bytes, bool] | None = None  # the last content, in JSON
        self._last_digest = ""

    def confirms(self, record: CopyRecord, raw: msgspec.Raw) -> bool:
        """Return whether an object has the content that its record of the same version says."""
        with suppress(Malformed):
            stored = decode_as(raw, _Content, WHAT)
            content = (bytes(stored.data), bytes(stored.binary_data), bool(stored.immutable))
            if content != self._last:
                self._last_digest = read_copy(raw).digest
                self._last = content
            return self._last_digest == record.digest
        return False
