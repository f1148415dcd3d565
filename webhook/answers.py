"""Encode the answers to AdmissionReviews of `admission.k8s.io/v1`.

`admission.py` and `server.py` call it. It decides nothing.
"""

import base64
from collections.abc import Sequence

import msgspec

from webhook.admission_review import API_VERSION, KIND, Document


def allowed(uid: str, warnings: Sequence[str] = (), patch: Sequence[Document] = ()) -> bytes:
    """Return the answer that allows a request.

    Args:
        uid: of the request.
        warnings: for the user.
        patch: JSON patch operations that the API server applies.
    """
    response: Document = {"uid": uid, "allowed": True}
    if patch:
        response |= {
            "patchType": "JSONPatch",
            "patch": base64.b64encode(msgspec.json.encode(patch)).decode(),
        }
    return _answer(response, warnings)


def denied(uid: str, status: Document, warnings: Sequence[str] = ()) -> bytes:
    """Return the answer that denies a request with a Status, which the user reads."""
    return _answer({"uid": uid, "allowed": False, "status": status}, warnings)


def failure(code: int, reason: str, message: str) -> Document:
    """Return a Status for a failure that the object did not cause."""
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
