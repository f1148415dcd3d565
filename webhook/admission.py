"""One review from beginning to end: the order of the judgement, and the waiting in between.

Shape, then permission, then the rest: a denial for want of permission is worded from the object alone, so nobody learns from it what
exists. The judgement itself is in `admit.py`; here is only what has to ask somebody.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from configmapsync.defaulting import with_defaults
from configmapsync.fielderrors import FieldError, to_status
from configmapsync.names import KIND
from configmapsync.resource import ConfigMapSync, InvalidResource, parse
from configmapsync.validation import validate
from kube.errors import ApiError
from webhook import admit
from webhook.authorization import Authorizer, of_user, right_to_see, rights_needed, subject_of
from webhook.review import Document, Review, allowed, denied, failure
from webhook.settings import AuthorizationMode
from webhook.targets import Targets
from webhook.world import World

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
        exemption = admit.exempt(review)
        if exemption:
            return Answer(allowed(review.request.uid, exemption.warnings), "exempt")
        try:
            async with asyncio.timeout(DECIDED_WITHIN_SECONDS):
                return await self._judge(review)
        except (ApiError, TimeoutError) as error:
            return _undecided(review, error)
