"""The wire format `admission.k8s.io/v1`: bytes to a `Review`, a verdict to bytes. Pure.

What a review means is judged in `admit.py`. Nothing here trusts the sender: whatever is not an AdmissionReview of this version is a
`MalformedReviewError` with a sentence for whoever reads the API server's log.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"

Document = dict[str, Any]


class MalformedReviewError(Exception):
    """The body is no AdmissionReview that could be answered."""


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


class Request(msgspec.Struct, frozen=True, rename="camel"):
    """One write that the API server asks about."""

    uid: str
    operation: Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]
    resource: Resource = Resource()
    sub_resource: str = ""
    namespace: str = ""
    name: str = ""
    user_info: User = User()
    object: msgspec.Raw = msgspec.Raw(b"null")
    old_object: msgspec.Raw = msgspec.Raw(b"null")
    dry_run: bool = False


class _Envelope(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One write, its objects decoded; both are None where the API server sent none."""

    request: Request
    new: Document | None
    old: Document | None


_decoder = msgspec.json.Decoder(_Envelope)


def parse(body: bytes) -> Review:
    """Read an AdmissionReview.

    Raises:
        MalformedReviewError: it is none, or of a version that this webhook does not speak.
    """
    try:
        envelope = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedReviewError(f"the body is no AdmissionReview: {error}") from error
    if (envelope.api_version, envelope.kind) != (API_VERSION, KIND):
        raise MalformedReviewError(
            f"{envelope.api_version or 'no apiVersion'}, {envelope.kind or 'no kind'}: this webhook speaks {API_VERSION} {KIND}"
        )
    if envelope.request is None or not envelope.request.uid:
        raise MalformedReviewError("the AdmissionReview has no request with a uid")
    return Review(envelope.request, _document(envelope.request.object), _document(envelope.request.old_object))


def allowed(uid: str, warnings: Sequence[str] = (), patch: Sequence[Document] = ()) -> bytes:
    """Answer yes, with changes for the API server to make where `patch` has operations."""
    response: Document = {"uid": uid, "allowed": True}
    if patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(msgspec.json.encode(patch)).decode()}
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


def _document(raw: msgspec.Raw) -> Document | None:
    try:
        decoded = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise MalformedReviewError(f"an object of the review is unreadable: {error}") from error
    if decoded is not None and not isinstance(decoded, dict):
        raise MalformedReviewError("an object of the review is no JSON object")
    return decoded
