"""Call the mutating webhooks in order, then the validating ones in parallel.

The registry calls `mutate` before validation and `validate` just before storing. A
denial is raised as the Status for the client. Warnings go to the caller's `warn`,
also for a denied request.
"""

import asyncio
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from devcluster.admission.conditions import judge
from devcluster.admission.endpoint import CallFailedError, WebhookEndpoints
from devcluster.admission.matching import is_called
from devcluster.admission.request import AdmissionRequest, Document
from devcluster.admission.review import (
    SUPPORTED_VERSIONS,
    InvalidReviewError,
    Verdict,
    read_verdict,
    write_review,
)
from devcluster.admission.webhook import Webhook, webhooks_of
from devcluster.errors import ApiStatus, forbidden, internal_error
from devcluster.storage.json_patch import PatchFailedError, apply_operations

Configurations = Callable[[], Iterable[Mapping[str, Any]]]
Warn = Callable[[str], None]


class AdmissionChain:
    """All webhooks of one cluster."""

    def __init__(
        self, mutating: Configurations, validating: Configurations, endpoints: WebhookEndpoints
    ) -> None:
        self._mutating = mutating
        self._validating = validating
        self._endpoints = endpoints

    async def mutate(self, request: AdmissionRequest, warn: Warn) -> Document | None:
        """Return the object as the mutating webhooks want it.

        A webhook that asked for it is called once more if another one changed the object after it.

        Raises:
            ApiStatus: a webhook refused, or could not be asked and must be.
        """
        webhooks = list(webhooks_of(self._mutating()))
        called: set[int] = set()
        overtaken: set[int] = set()
        for again in (False, True):
            for position, webhook in enumerate(webhooks):
                if again and position not in overtaken:
                    continue
                patched = await self._mutate_once(webhook, request, warn)
                if patched != request.object:
                    overtaken |= called
                    request = request.with_object(patched or {})
                if webhook.reinvocable:
                    called.add(position)
        return request.object

    async def validate(self, request: AdmissionRequest, warn: Warn) -> None:
        """Ask all validating webhooks at once; of several refusals the first in order counts.

        Raises:
            ApiStatus: a webhook refused, or could not be asked and must be.
        """
        webhooks = list(webhooks_of(self._validating()))
        calls = (self._ask(webhook, request, warn, mutating=False) for webhook in webhooks)
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _mutate_once(
        self, webhook: Webhook, request: AdmissionRequest, warn: Warn
    ) -> Document | None:
        verdict = await self._ask(webhook, request, warn, mutating=True)
        if verdict is None or not verdict.patch:
            return request.object
        if request.object is None:
            what = f'admission webhook "{webhook.name}" attempted to modify the object'
            raise internal_error(f"{what}, which is not supported for this operation")
        return _patched(request.object, verdict)

    async def _ask(
        self, webhook: Webhook, request: AdmissionRequest, warn: Warn, *, mutating: bool
    ) -> Verdict | None:
        """Return a webhook's consent, or None if it does not have to be asked or may be ignored."""
        if not is_called(webhook, request):
            return None
        version = next(
            version for version in webhook.review_versions if version in SUPPORTED_VERSIONS
        )
        uid = str(uuid.uuid4())
        review = write_review(request, uid, version)
        if not _conditions_hold(webhook, request, review["request"]):
            return None
        try:
            body = await self._endpoints.post(
                webhook.client, msgspec.json.encode(review), webhook.timeout_seconds
            )
            verdict = read_verdict(body, uid, version, mutating=mutating)
        except (CallFailedError, InvalidReviewError) as error:
            if webhook.fails_open:
                return None
            raise internal_error(f'failed calling webhook "{webhook.name}": {error}') from error
        for warning in verdict.warnings:
            warn(warning)
        if not verdict.allowed:
            raise denial(webhook.name, verdict.status)
        return verdict


def denial(webhook_name: str, status: Mapping[str, Any]) -> ApiStatus:
    """Turn a webhook's refusal into the answer for the client: its own status, never a success."""
    denied = f'admission webhook "{webhook_name}" denied the request'
    reason, why = status.get("reason") or "", status.get("message") or status.get("reason")
    code = status.get("code")
    return ApiStatus(
        code if isinstance(code, int) and code >= 400 else 400,
        reason,
        f"{denied}: {why}" if why else f"{denied} without explanation",
        status.get("details"),
    )


def _conditions_hold(
    webhook: Webhook, request: AdmissionRequest, review_request: Mapping[str, Any]
) -> bool:
    if not webhook.conditions:
        return True
    judgement = judge(webhook.conditions, review_request)
    if judgement.errors and not webhook.fails_open:
        listed = ", ".join(judgement.errors)
        why = listed if len(judgement.errors) == 1 else f"[{listed}]"
        raise forbidden(request.resource.group, request.resource.plural, request.name, why)
    return judgement.matches


def _patched(document: Document | None, verdict: Verdict) -> Document:
    try:
        patched: Document = apply_operations(document, verdict.patch)
    except PatchFailedError as error:
        raise internal_error(str(error)) from error
    return patched
