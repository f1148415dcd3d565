"""One review from beginning to end: the order of the judgement, and the waiting in between.

Shape, then permission, then the rest: a denial for want of permission is worded from the object alone, so nobody learns from it what
exists. The judgement itself is in `admit.py`; here is only what has to ask somebody.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError, forbidden, to_status
from configmapsync.names import KIND, NamespacedName
from configmapsync.resource import ConfigMapSync, InvalidResource, parse
from configmapsync.rights import right_to_see, rights_needed
from configmapsync.selection import Selector
from configmapsync.targets import targets_of
from configmapsync.validation import validate
from kube.errors import ApiError
from webhook import admit
from webhook.admit import Candidate
from webhook.authorization import Authorizer, of_user, subject_of
from webhook.review import MalformedReviewError, Review, User, allowed, denied, failure
from webhook.settings import AuthorizationMode
from webhook.world import Visible, World

log = structlog.stdlib.get_logger()

# The API server gives up after 5 s and then says only that the webhook did not answer; a refusal in time says why.
DECIDED_WITHIN_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The body for the API server, and one word for the metric."""

    body: bytes
    outcome: str


class Admission:
    """Mutates and validates."""

    def __init__(self, world: World, authorizer: Authorizer, mode: AuthorizationMode) -> None:
        self._world = world
        self._authorizer = authorizer
        self._mode = mode

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
        try:
            async with asyncio.timeout(DECIDED_WITHIN_SECONDS):
                return await self._judge(review)
        except (ApiError, TimeoutError) as error:
            return _undecided(review, error)

    async def _judge(self, review: Review) -> Answer:
        try:
            candidate = self._candidate(review)
            errors = validate(candidate.sync)
        except InvalidResource as invalid:
            return _refused(review, invalid.errors)
        if errors:
            return _refused(review, errors)
        denials = await self._denials(review.request.user_info, candidate)
        if denials and self._mode is AuthorizationMode.ENFORCE:
            return _refused(review, denials)
        view = await self._world.view(candidate, self._visible_to(review.request.user_info))
        warnings = [str(denial) for denial in denials]
        if errors := admit.judge(candidate, view):
            return _refused(review, errors, warnings)
        return Answer(allowed(review.request.uid, warnings + admit.warnings(candidate, view)), "allowed")

    def _candidate(self, review: Review) -> Candidate:
        """Read the object, and what it was.

        Raises:
            InvalidResource: the spec is not of the right shape.
            MalformedReviewError: not even the metadata is that of an object; no API server sends such a thing.
        """
        try:
            sync = with_defaults(parse(review.new or {}))
        except ValueError as error:
            raise MalformedReviewError("the metadata of the object cannot be read") from error
        selector = Selector.of(sync, self._world.protected)
        return Candidate(sync, targets_of(sync, selector), _former(review))

    async def _denials(self, user: User, candidate: Candidate) -> list[FieldError]:
        if self._mode is AuthorizationMode.OFF:
            return []
        subject = subject_of(candidate.sync, user)
        needs = rights_needed(candidate.sync, candidate.targets)
        denials = await self._authorizer.denials(subject, candidate.sync, needs)
        return [forbidden(denial.path, denial.message) for denial in denials]

    def _visible_to(self, user: User) -> Visible:
        """Return the question which of some other syncs the user may be told of."""

        async def visible(others: Iterable[NamespacedName]) -> frozenset[NamespacedName]:
            if self._mode is AuthorizationMode.OFF:
                return frozenset(others)
            rights = {right_to_see(other): other for other in others}
            return frozenset(rights[right] for right in await self._authorizer.may(of_user(user), rights))

        return visible


def _former(review: Review) -> ConfigMapSync | None:
    """What the object was; one that cannot be read any more excuses nothing."""
    if review.old is None:
        return None
    try:
        return with_defaults(parse(review.old))
    except (InvalidResource, ValueError):
        return None


def _refused(review: Review, errors: Sequence[FieldError], warnings: Sequence[str] = ()) -> Answer:
    log.info(
        "refused",
        sync=f"{review.request.namespace}/{review.request.name}",
        user=review.request.user_info.username,
        errors=[str(error) for error in errors],
    )
    status = to_status(errors, KIND, review.request.name)
    return Answer(denied(review.request.uid, status, warnings), "refused")


def _undecided(review: Review, error: ApiError | TimeoutError) -> Answer:
    """Refuse what could not be judged: a webhook that guesses would be none."""
    told = str(error) or "no answer in time"
    log.warning("not judged", sync=f"{review.request.namespace}/{review.request.name}", error=told)
    message = "the API server did not tell the webhook what it must know to judge this; try again"
    return Answer(denied(review.request.uid, failure(503, "ServiceUnavailable", message)), "undecided")
