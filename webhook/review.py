"""The wire format `admission.k8s.io/v1`: bytes to a `Review`, a verdict to bytes. Pure.

What a review means is judged in `admit.py`. Nothing here trusts the sender: what is not an AdmissionReview of this version raises
`MalformedReviewError` with a sentence for the API server's log. Only the fields that count are decoded: what else an object carries costs
no more than its bytes, and a spec is decoded when it is asked for, and only if it is of a size that can be stored.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from configmapsync.fielderrors import ErrorKind, FieldError

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

# Bytes of a spec. 512 names, 512 exclusions, 256 keys and the 256 KiB of annotations that a ConfigMap can have fit in.
# Decoding so many bytes takes 30 ms of the event loop at the worst.
LARGEST_SPEC = 512 * 1024

# Bytes up to which two specs are compared field by field. The API server sends equal objects as equal text anyway.
COMPARED_DECODED = 64 * 1024

# Fields of a spec: three times as many as there are.
MOST_FIELDS = 48

# Bytes of all that is known of a user. Every access review repeats it.
LARGEST_USER = 256 * 1024

# Characters of the uid, the names and the other words of a request. A generous bound on what Kubernetes allows.
LONGEST_WORD = 512

# Bytes of a field that `Review.shallow_spec` decodes: the scalar fields of a spec are shorter, or wrong.
LARGEST_SCALAR = 1024

Document = dict[str, Any]

NO_SPEC = msgspec.Raw(b"null")


class MalformedReviewError(Exception):
    """The body is no AdmissionReview that could be answered."""


class UnreadableSpecError(Exception):
    """The spec of an object cannot be decoded; `error` says why."""

    def __init__(self, error: FieldError) -> None:
        super().__init__(str(error))
        self.error = error


class User(msgspec.Struct, frozen=True, rename="camel"):
    """Who asks, as the API server authenticated them."""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = {}


class Resource(msgspec.Struct, frozen=True):
    """What kind of thing is written."""

    group: str = ""
    version: str = ""
    resource: str = ""


class _Request(msgspec.Struct, rename="camel"):
    uid: str
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource = Resource()
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False
    # Decoded one by one, each within a bound of its own.
    user_info: msgspec.Raw = msgspec.Raw(b"{}")
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")


class _Envelope(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: _Request | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One write that the API server asks about."""

    uid: str
    operation: str
    resource: Resource
    sub_resource: str
    namespace: str
    name: str
    dry_run: bool
    user_info: User


class Metadata(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The metadata that counts for a judgement."""

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
    """An object of a review: its metadata decoded, its spec not.

    Attributes:
        metadata: the fields that count.
        spec: as it was sent; null in place of one that is too large.
        digest: of a spec that is too large; empty for any other.
    """

    metadata: Metadata
    spec: msgspec.Raw
    digest: bytes = b""

    def document(self) -> Document:
        """Return metadata and spec.

        Raises:
            UnreadableSpecError: the spec is too large or nested too deeply.
        """
        metadata = {
            key: value
            for key, value in msgspec.to_builtins(self.metadata).items()
            if value is not None
        }
        return {"metadata": metadata, "spec": self._decoded(msgspec.json.decode)}

    def shallow_spec(self) -> Document | None:
        """Return the spec with its strings and other short values, the rest still encoded; None if it cannot be a spec."""
        try:
            fields: dict[str, msgspec.Raw] = self._decoded(_decode_fields)
        except (UnreadableSpecError, msgspec.ValidationError):
            return None
        if len(fields) > MOST_FIELDS:
            return None
        return {key: _scalar(raw) for key, raw in fields.items()}

    def _decoded(self, decode: Any) -> Any:
        if self.digest:
            raise UnreadableSpecError(
                FieldError(
                    "spec", ErrorKind.TOO_LONG, detail=f"may not be more than {LARGEST_SPEC} bytes"
                )
            )
        try:
            return decode(self.spec)
        except RecursionError:
            raise UnreadableSpecError(
                FieldError("spec", ErrorKind.TYPE_INVALID, "[...]", "is nested too deeply")
            ) from None


@dataclass(frozen=True, slots=True)
class Review:
    """One write; both objects are None where the API server sent none."""

    request: Request
    new: SentObject | None
    old: SentObject | None

    @property
    def spec_bytes(self) -> int:
        """How large the specs of both objects are."""
        return sum(len(memoryview(sent.spec)) for sent in (self.new, self.old) if sent)

    @property
    def spec_is_unchanged(self) -> bool:
        """Whether both objects are there and have the same spec."""
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
        except (UnreadableSpecError, RecursionError):
            return False


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_user = msgspec.json.Decoder(User).decode
_decode_object = msgspec.json.Decoder(_Object | None).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def parse(body: bytes | bytearray) -> Review:
    """Read an AdmissionReview.

    Raises:
        MalformedReviewError: it is none, or of a version that this webhook does not speak.
    """
    envelope: _Envelope = _read("the body is no AdmissionReview", _decode_envelope, body)
    if (envelope.api_version, envelope.kind) != (API_VERSION, KIND):
        said = f"{envelope.api_version[:LONGEST_WORD] or 'no apiVersion'}, {envelope.kind[:LONGEST_WORD] or 'no kind'}"
        raise MalformedReviewError(f"{said}: this webhook speaks {API_VERSION} {KIND}")
    sent = envelope.request
    if sent is None or not sent.uid:
        raise MalformedReviewError("the AdmissionReview has no request with a uid")
    if max(map(len, (sent.uid, sent.namespace, sent.name, sent.sub_resource))) > LONGEST_WORD:
        raise MalformedReviewError(f"a name of the request has more than {LONGEST_WORD} characters")
    if len(memoryview(sent.user_info)) > LARGEST_USER:
        raise MalformedReviewError(f"the user has more than {LARGEST_USER} bytes")
    request = Request(
        uid=sent.uid,
        operation=sent.operation,
        resource=sent.resource,
        sub_resource=sent.sub_resource,
        namespace=sent.namespace,
        name=sent.name,
        dry_run=sent.dry_run,
        user_info=_read("the body is no AdmissionReview", _decode_user, sent.user_info),
    )
    return Review(request, _object(sent.object), _object(sent.old_object))


def _scalar(raw: msgspec.Raw) -> Any:
    """Decode a short value that is no list and no object."""
    text = memoryview(raw)
    return (
        raw
        if len(text) > LARGEST_SCALAR or bytes(text[:1]) in {b"[", b"{"}
        else msgspec.json.decode(raw)
    )


def _read(problem: str, decode: Any, text: bytes | bytearray | msgspec.Raw) -> Any:
    try:
        return decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedReviewError(f"{problem}: {str(error)[:LONGEST_WORD]}") from error


def _object(raw: msgspec.Raw) -> SentObject | None:
    """Decode what counts of an object, detached from the body, which is large and would be kept alive."""
    if bytes(memoryview(raw)[:1]) not in {b"{", b"n"}:
        raise MalformedReviewError("an object of the review is no JSON object")
    found: _Object | None = _read("an object of the review is unreadable", _decode_object, raw)
    if found is None:
        return None
    metadata, spec = found.metadata or Metadata(), memoryview(found.spec)
    if len(spec) > LARGEST_SPEC:
        return SentObject(metadata, NO_SPEC, hashlib.blake2b(spec).digest())
    return SentObject(metadata, found.spec.copy())


def allowed(uid: str, warnings: Sequence[str] = (), patch: Sequence[Document] = ()) -> bytes:
    """Answer yes, with changes for the API server to make where `patch` has operations."""
    response: Document = {"uid": uid, "allowed": True}
    if patch:
        response |= {
            "patchType": "JSONPatch",
            "patch": base64.b64encode(msgspec.json.encode(patch)).decode(),
        }
    return _answer(response, warnings)


def denied(uid: str, status: Document, warnings: Sequence[str] = ()) -> bytes:
    """Answer no, with the Status that the user will read."""
    return _answer({"uid": uid, "allowed": False, "status": status}, warnings)


def failure(code: int, reason: str, message: str) -> Document:
    """Build a Status for what is no fault of the object."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


def _answer(response: Document, warnings: Sequence[str]) -> bytes:
    if warnings:
        response["warnings"] = list(warnings)
    return msgspec.json.encode({"apiVersion": API_VERSION, "kind": KIND, "response": response})
