"""Write AdmissionReviews as kube-apiserver does, and check the answers. Pure.

The shape is that of recorded reviews, down to omitted and null fields.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from devcluster.admission.request import (
    OPTIONS_KINDS,
    AdmissionRequest,
    Resource,
)

REVIEW_GROUP = "admission.k8s.io"
SUPPORTED_VERSIONS = ("v1", "v1beta1")


class InvalidReviewError(Exception):
    """A webhook's answer that breaks the protocol; the message is the real server's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A well-formed answer."""

    allowed: bool
    status: Mapping[str, Any]
    warnings: tuple[str, ...]
    patch: Sequence[Mapping[str, Any]]


def write_review(request: AdmissionRequest, uid: str, version: str) -> dict[str, Any]:
    """Compose the body of a call.

    Args:
        request: the write.
        uid: of this call; the answer must carry it.
        version: of AdmissionReview.
    """
    kind, resource = _kind(request.resource), _resource(request.resource)
    content: dict[str, Any] = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "subResource": request.subresource,
        "requestKind": kind,
        "requestResource": resource,
        "requestSubResource": request.subresource,
        "name": request.name,
        "namespace": request.namespace,
        "operation": request.operation.value,
        "userInfo": request.user.as_user_info(),
        "object": request.object,
        "oldObject": request.old_object,
        "dryRun": request.dry_run,
        "options": _options(request),
    }
    for optional in ("subResource", "requestSubResource", "name", "namespace"):
        if not content[optional]:
            del content[optional]
    return {
        "kind": "AdmissionReview",
        "apiVersion": f"{REVIEW_GROUP}/{version}",
        "request": content,
    }


def read_verdict(body: bytes, uid: str, version: str, *, mutating: bool) -> Verdict:
    """Read and check an answer.

    Raises:
        InvalidReviewError: the answer breaks the protocol. The failure policy then decides
            whether the write fails.
    """
    review = _json_object(body)
    response = review.get("response")
    if not isinstance(response, dict):
        raise InvalidReviewError("received invalid webhook response: webhook response was absent")
    if version == "v1":  # v1beta1 never asked for these
        _check_envelope(review, response, uid)
    patch = _patch(response, mutating=mutating)
    return Verdict(
        allowed=response.get("allowed") is True,
        status=response.get("status") or {},
        warnings=tuple(response.get("warnings") or ()),
        patch=patch,
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        review = json.loads(body)
    except ValueError as error:
        message = f"failed to call webhook: couldn't get version/kind; json parse error: {error}"
        raise InvalidReviewError(message) from error
    if not isinstance(review, dict):
        raise InvalidReviewError(
            "failed to call webhook: couldn't get version/kind; json parse error: not an object"
        )
    return review


def _check_envelope(review: Mapping[str, Any], response: Mapping[str, Any], uid: str) -> None:
    answered = response.get("uid", "")
    if answered != uid:
        message = (
            f'received invalid webhook response: expected response.uid="{uid}", got "{answered}"'
        )
        raise InvalidReviewError(message)
    kind = (review.get("apiVersion", ""), review.get("kind", ""))
    if kind != (f"{REVIEW_GROUP}/v1", "AdmissionReview"):
        expected = f"{REVIEW_GROUP}/v1, Kind=AdmissionReview"
        found = f"{kind[0] or '/'}, Kind={kind[1]}"
        raise InvalidReviewError(
            f"received invalid webhook response: expected webhook response of {expected}, got "
            f"{found}"
        )


def _patch(response: Mapping[str, Any], *, mutating: bool) -> Sequence[Mapping[str, Any]]:
    encoded, patch_type = response.get("patch"), response.get("patchType")
    problem = _patch_problem(encoded, patch_type, mutating=mutating)
    if problem:
        raise InvalidReviewError(f"received invalid webhook response: {problem}")
    if not encoded:
        return ()
    try:
        patch = json.loads(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError) as error:
        raise InvalidReviewError(
            f"failed to call webhook: response.patch is not base64 of JSON: {error}"
        ) from error
    if not isinstance(patch, list):
        raise InvalidReviewError(
            "failed to call webhook: response.patch is not a list of operations"
        )
    return patch


def _patch_problem(encoded: object, patch_type: object, *, mutating: bool) -> str | None:
    if not mutating and encoded:
        return "validating webhook may not return response.patch"
    if not mutating and patch_type is not None:
        return "validating webhook may not return response.patchType"
    if encoded and patch_type is None:
        return "webhook returned response.patch but not response.patchType"
    if patch_type is not None and not encoded:
        return "webhook returned response.patchType but not response.patch"
    if patch_type not in (None, "JSONPatch"):
        return f'unsupported patch type "{patch_type}"'
    return None


def _kind(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _resource(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "resource": resource.plural}


def _options(request: AdmissionRequest) -> dict[str, Any]:
    return {
        "kind": OPTIONS_KINDS[request.operation],
        "apiVersion": "meta.k8s.io/v1",
        **request.options,
    }
