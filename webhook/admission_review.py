"""Decode AdmissionReviews of `admission.k8s.io/v1`.

`server.py` parses bodies here; `answers.py` encodes the answers. The sender is not
trusted: anything but an AdmissionReview raises `MalformedReviewError`. Only the fields
that the webhook reads are decoded, and a spec only on demand and up to a size that can
be stored.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from configmapsync.fielderrors import ErrorKind, FieldError
from configmapsync.parsing import InvalidResourceError

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

# Bytes of a spec: 512 names, 512 exclusions, 256 keys and the 256 KiB of annotations of a
# ConfigMap fit in. Decoding them holds the event loop for up to 30 ms.
LARGEST_SPEC = 512 * 1024

# Bytes up to which two specs are compared decoded. The API server sends equal objects as equal
# text anyway.
COMPARED_DECODED = 64 * 1024

# Fields of a spec; the schema has a third of them.
MOST_FIELDS = 48

# Bytes of the user info, which every access review repeats.
LARGEST_USER = 256 * 1024

# Characters of the uid, the names and the other words of a request; Kubernetes allows fewer.
LONGEST_WORD = 512

# Bytes of a field that `SentObject.shallow_spec` decodes. A valid scalar field is shorter.
LARGEST_SCALAR = 1024

Document = dict[str, Any]

NO_SPEC = msgspec.Raw(b"null")


class MalformedReviewError(Exception):
    """The body is not an AdmissionReview that can be answered."""


class User(msgspec.Struct, frozen=True, rename="camel"):
    """The user of a request, as the API server authenticated the user."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class Resource(msgspec.Struct, frozen=True):
    """The resource that a request writes."""

    group: str = ""
    version: str = ""
    resource: str = ""


class _Request(msgspec.Struct, frozen=True, rename="camel"):
    """The words of a request."""

    uid: str
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource = Resource()
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""


class _SentRequest(_Request, frozen=True, rename="camel"):
    """A request with the parts that are decoded separately, each with a bound of its own."""

    user_info: msgspec.Raw = msgspec.Raw(b"{}")
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: _SentRequest | None = None


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The metadata fields that the webhook reads."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    resource_version: str | None = None
    generation: int | None = None
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] | None = None


class _Object(msgspec.Struct):
    metadata: Metadata | None = None
    spec: msgspec.Raw = NO_SPEC


@dataclass(frozen=True, slots=True)
class SentObject:
    """An object of a review. Its spec is not decoded.

    Attributes:
        metadata: the fields that the webhook reads.
        spec: in JSON; `null` in place of a spec that is too large.
        digest: of a spec that is too large; otherwise empty.
    """

    metadata: Metadata
    spec: msgspec.Raw
    digest: bytes = b""

    def document(self) -> Document:
        """Return metadata and spec.

        Raises:
            InvalidResourceError: the spec is too large or nested too deeply.
        """
        metadata = msgspec.to_builtins(self.metadata)
        return {"metadata": metadata, "spec": self._decoded(msgspec.json.decode)}

    def shallow_spec(self) -> Document | None:
        """Return the spec with its short scalars decoded, and its other values as raw JSON.

        `admission.mutation` needs no more, and deep or large values must not cost time there.

        Returns:
            The spec, or None if it is not an object or has too many fields.
        """
        try:
            fields: dict[str, msgspec.Raw] = self._decoded(_decode_fields)
        except (InvalidResourceError, msgspec.ValidationError):
            return None
        if len(fields) > MOST_FIELDS:
            return None
        return {key: _scalar(raw) for key, raw in fields.items()}

    def _decoded(self, decode: Any) -> Any:
        if self.digest:
            detail = f"may not be more than {LARGEST_SPEC} bytes"
            raise InvalidResourceError((FieldError("spec", ErrorKind.TOO_LONG, detail=detail),))
        try:
            return decode(self.spec)
        except RecursionError:
            error = FieldError("spec", ErrorKind.TYPE_INVALID, "[...]", "is nested too deeply")
            raise InvalidResourceError((error,)) from None


class Review(_Request, frozen=True, kw_only=True):
    """The request of an AdmissionReview: one write that the API server asks about.

    Attributes:
        user: of the request.
        new: the object; None if the API server sent none.
        old: the object before an update; None if the API server sent none.
    """

    user: User
    new: SentObject | None
    old: SentObject | None

    @property
    def spec_bytes(self) -> int:
        """Return the size of both specs in bytes."""
        return sum(len(memoryview(sent.spec)) for sent in (self.new, self.old) if sent)

    @property
    def spec_is_unchanged(self) -> bool:
        """Return whether both objects exist and have equal specs."""
        if self.new is None or self.old is None:
            return False
        if self.new.digest or self.old.digest:
            return self.new.digest == self.old.digest
        new, old = memoryview(self.new.spec), memoryview(self.old.spec)
        if new == old:
            return True
        if max(len(new), len(old)) > COMPARED_DECODED:
            return False
        try:
            return bool(self.new.document()["spec"] == self.old.document()["spec"])
        except (InvalidResourceError, RecursionError):
            return False


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_user = msgspec.json.Decoder(User).decode
_decode_object = msgspec.json.Decoder(_Object | None).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse(body: bytes | bytearray) -> Review:
    """Decode an AdmissionReview.

    Args:
        body: in JSON.

    Raises:
        MalformedReviewError: it is not an AdmissionReview of a supported version.
    """
    envelope: _Envelope = _decode("the body is not an AdmissionReview", _decode_envelope, body)
    if (envelope.api_version, envelope.kind) != (API_VERSION, KIND):
        version = envelope.api_version[:LONGEST_WORD] or "no apiVersion"
        kind = envelope.kind[:LONGEST_WORD] or "no kind"
        raise MalformedReviewError(f"{version}, {kind}: this webhook supports {API_VERSION} {KIND}")
    sent = envelope.request
    if sent is None or not sent.uid:
        raise MalformedReviewError("the AdmissionReview has no request with a uid")
    if max(map(len, (sent.uid, sent.namespace, sent.name, sent.sub_resource))) > LONGEST_WORD:
        raise MalformedReviewError(f"a name of the request has more than {LONGEST_WORD} characters")
    if len(memoryview(sent.user_info)) > LARGEST_USER:
        raise MalformedReviewError(f"the user has more than {LARGEST_USER} bytes")
    return Review(
        uid=sent.uid,
        operation=sent.operation,
        resource=sent.resource,
        sub_resource=sent.sub_resource,
        namespace=sent.namespace,
        name=sent.name,
        user=_decode("the body is not an AdmissionReview", _decode_user, sent.user_info),
        new=_object(sent.object),
        old=_object(sent.old_object),
    )


def _scalar(raw: msgspec.Raw) -> Any:
    """Decode a short value that is neither a list nor an object."""
    text = memoryview(raw)
    return (
        raw
        if len(text) > LARGEST_SCALAR or bytes(text[:1]) in {b"[", b"{"}
        else msgspec.json.decode(raw)
    )


def _decode(problem: str, decode: Any, text: bytes | bytearray | msgspec.Raw) -> Any:
    try:
        return decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedReviewError(f"{problem}: {str(error)[:LONGEST_WORD]}") from error


def _object(raw: msgspec.Raw) -> SentObject | None:
    """Decode an object of a review.

    Copies the spec, because a view of it would keep the whole body in memory.
    """
    found: _Object | None = _decode("an object of the review is invalid", _decode_object, raw)
    if found is None:
        return None
    metadata, spec = found.metadata or Metadata(), memoryview(found.spec)
    if len(spec) > LARGEST_SPEC:
        return SentObject(metadata, NO_SPEC, hashlib.blake2b(spec).digest())
    return SentObject(metadata, found.spec.copy())
