"""One review from beginning to end: the order of the judgement, and the waiting in between.

Shape, then permission, then the rest: a denial for want of permission is worded from the object alone, so nobody learns from it what
exists. The judgement itself is in `admit.py`; here is only what has to ask somebody.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import targets_of
from configmapsync.fielderrors import FieldError, forbidden, to_status
from configmapsync.names import KIND
from configmapsync.permissions import Right, rights_needed, rights_to_drop
from configmapsync.resource import ConfigMapSync, InvalidResource, parse
from configmapsync.selection import Selector
from configmapsync.validation import validate
from kube.errors import ApiError
from webhook import admit
from webhook.admit import AdmissionInput
from webhook.authorization import Authorizer, Requester, shortened
from webhook.cluster_state import ClusterState, RightsFilter
from webhook.limits import ReviewSlots, TooManyReviewsError
from webhook.review import (
    MalformedReviewError,
    Review,
    UnreadableSpecError,
    allowed,
    denied,
    failure,
)
from webhook.settings import AuthorizationMode

log = structlog.stdlib.get_logger()

# The API server gives up after 5 s and then says only that the webhook did not answer; a refusal in time says why.
DECIDED_WITHIN_SECONDS = 4.0

# A client of the API server that gets this with a 429 sends its request again by itself.
TRY_AGAIN_AFTER_SECONDS = 1

# Errors of one refusal in the log; the user gets more of them.
LOGGED_AT_MOST = 8
LOGGED_CHARACTERS = 300

# The fields that decide where a sync copies to.
PLACE_FIELDS = (
    "sourceNamespace",
    "configMapName",
    "destinationNamespace",
    "destinationNamespaces",
    "destinationNamespaceSelector",
    "excludedNamespaces",
    "destinationConfigMapName",
)

# Warnings of one answer.
WARNED_AT_MOST = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The body for the API server, and one word for the metric."""

    body: bytes
    outcome: str


class Admission:
    """Mutates and validates."""

    def __init__(
        self,
        world: ClusterState,
        authorizer: Authorizer,
        mode: AuthorizationMode,
        slots: ReviewSlots | None = None,
    ) -> None:
        self._state = world
        self._authorizer = authorizer
        self._mode = mode
        self._slots = slots or ReviewSlots()

    async def mutate(self, review: Review) -> Answer:
        """Fill in what is unset. What cannot be read is left for the API server's schema and `validate` to refuse."""
        uid = review.request.uid
        if admit.exempt(review):
            return Answer(allowed(uid), "exempt")
        patch = admit.mutation(review)
        return Answer(allowed(uid, patch=patch), "patched" if patch else "allowed")

    async def validate(self, review: Review) -> Answer:
        """Judge a write in the order of the module's first paragraph."""
        if admit.exempt(review):
            return Answer(allowed(review.request.uid), "exempt")
        user = review.request.user_info
        try:
            async with (
                asyncio.timeout(DECIDED_WITHIN_SECONDS),
                self._slots.slot(user.username, review.spec_bytes) as questions,
            ):
                return await self._check(review, Requester(user, questions))
        except (ApiError, TimeoutError) as error:
            return _undecided(review, error)
        except TooManyReviewsError as error:
            return _throttled(review, error)

    async def _check(self, review: Review, requester: Requester) -> Answer:
        try:
            sync_input = self._sync_input(review)
            errors = validate(sync_input.sync)
        except InvalidResource as invalid:
            return _refused(review, invalid.errors)
        except UnreadableSpecError as unreadable:
            return _refused(review, [unreadable.error])
        if errors:
            return _refused(review, errors)
        denials = await self._denials(review, requester, sync_input)
        if denials and self._mode is AuthorizationMode.ENFORCE:
            return _refused(review, denials)
        verified = self._mode is AuthorizationMode.ENFORCE
        view = await self._state.view(
            sync_input, self._held_by(requester), may_read_source=verified
        )
        warnings = [str(denial) for denial in denials]
        if errors := admit.check(sync_input, view):
            return _refused(review, errors, warnings)
        warnings += admit.warnings(sync_input, view)
        return Answer(allowed(review.request.uid, _bounded(warnings)), "allowed")

    def _sync_input(self, review: Review) -> AdmissionInput:
        """Read the object, and what it was.

        Raises:
            InvalidResource: the spec is not of the right shape.
            MalformedReviewError: not even the metadata is that of an object; no API server sends such a thing.
        """
        try:
            sync = with_defaults(parse(review.new.document() if review.new else {}))
        except ValueError as error:
            raise MalformedReviewError("the metadata of the object cannot be read") from error
        selector = Selector.of(sync, self._state.protected)
        return AdmissionInput(sync, targets_of(sync, selector), _previous(review))

    async def _denials(
        self, review: Review, requester: Requester, sync_input: AdmissionInput
    ) -> list[FieldError]:
        if self._mode is AuthorizationMode.OFF:
            return []
        needs = rights_needed(sync_input.sync, sync_input.targets)
        if (previous := sync_input.previous or _former_places(review)) is not None:
            needs += rights_to_drop(previous, sync_input.sync, self._state.protected)
        denials = await self._authorizer.denials(requester, sync_input.sync, needs)
        return [forbidden(denial.path, denial.message) for denial in denials]

    def _held_by(self, requester: Requester) -> RightsFilter:
        """Return the question which of some rights the user has."""

        async def held(rights: Iterable[Right]) -> frozenset[Right]:
            if self._mode is AuthorizationMode.OFF:
                return frozenset(rights)
            return frozenset(await self._authorizer.may(requester, rights))

        return held


def _previous(review: Review) -> ConfigMapSync | None:
    """What the object was; one that cannot be read any more excuses nothing."""
    if review.old is None:
        return None
    try:
        return with_defaults(parse(review.old.document()))
    except (InvalidResource, UnreadableSpecError, ValueError):
        return None


def _former_places(review: Review) -> ConfigMapSync | None:
    """Read of a former object only where it copied to, so that another field that is wrong by now opens no way round a right."""
    try:
        document = review.old.document() if review.old else {}
        spec = document.get("spec")
        if not isinstance(spec, dict):
            return None
        return with_defaults(
            parse(document | {"spec": {key: spec[key] for key in PLACE_FIELDS if key in spec}})
        )
    except (InvalidResource, UnreadableSpecError, ValueError):
        return None


def _bounded(warnings: list[str]) -> list[str]:
    """Return the first warnings: the API server cuts them off, and more are not read."""
    left_out = len(warnings) - WARNED_AT_MOST
    return (
        warnings if left_out <= 0 else [*warnings[:WARNED_AT_MOST], f"and {left_out} more warnings"]
    )


def _refused(review: Review, errors: Sequence[FieldError], warnings: Sequence[str] = ()) -> Answer:
    log.info(
        "refused",
        sync=f"{review.request.namespace}/{review.request.name}",
        user=shortened(review.request.user_info.username),
        errors=[str(error)[:LOGGED_CHARACTERS] for error in errors[:LOGGED_AT_MOST]],
        count=len(errors),
    )
    status = to_status(errors, KIND, review.request.name)
    return Answer(denied(review.request.uid, status, warnings), "refused")


def _undecided(review: Review, error: ApiError | TimeoutError) -> Answer:
    """Refuse what could not be judged: a webhook that guesses would be none."""
    told = str(error) or "no answer in time"
    log.warning("not judged", sync=f"{review.request.namespace}/{review.request.name}", error=told)
    message = "the API server did not tell the webhook what it must know to judge this; try again"
    return Answer(
        denied(review.request.uid, failure(503, "ServiceUnavailable", message)), "undecided"
    )


def _throttled(review: Review, error: TooManyReviewsError) -> Answer:
    """Refuse with a 429, which the API server passes on to the client together with Retry-After."""
    log.warning(
        "too many reviews",
        sync=f"{review.request.namespace}/{review.request.name}",
        user=shortened(review.request.user_info.username),
    )
    status = failure(429, "TooManyRequests", str(error))
    status["details"] = {"retryAfterSeconds": TRY_AGAIN_AFTER_SECONDS}
    return Answer(denied(review.request.uid, status), "throttled")
