"""Answer one admission review: mutate it, or validate it in a fixed order.

`server.py` calls this module with each parsed review. Validation checks the shape
first, then permission, then the rules of `admission_checks.py`. A denial for missing
permission does not reveal which objects exist, with one exception: a user who may act
as the named service account learns that it does not exist.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import structlog

from configmapsync import admission_checks
from configmapsync.admission_checks import AdmissionInput
from configmapsync.defaulting import default_document, with_defaults
from configmapsync.destination_paths import destination_paths
from configmapsync.fielderrors import FieldError, to_status
from configmapsync.names import FINALIZER, GROUP, PLURAL
from configmapsync.parsing import InvalidResourceError, parse
from configmapsync.permissions import rights_needed, rights_to_drop
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from configmapsync.validation import validate
from kube.errors import ApiError
from webhook.admission_review import Document, MalformedReviewError, Review
from webhook.answers import allowed, denied, failure
from webhook.authorization import Authorizer, Requester, of_user, shortened
from webhook.cluster_state import ClusterState
from webhook.review_slots import ReviewSlots, TooManyReviewsError

CHECKED_OPERATIONS = frozenset({"CREATE", "UPDATE"})

# The API server gives up after 5 s with a message that gives no cause; a denial in time gives one.
DECISION_SECONDS = 4.0

# Clients of the API server retry after this time when they receive a 429.
RETRY_AFTER_SECONDS = 1

# Limits of the log line of one denial; the user receives more errors, in full.
MAX_LOGGED_ERRORS = 8
MAX_LOGGED_CHARACTERS = 300

# The fields that decide from where to where a sync copies.
EDGE_FIELDS = (
    "sourceNamespace",
    "configMapName",
    "destinationNamespace",
    "destinationNamespaces",
    "destinationNamespaceSelector",
    "excludedNamespaces",
    "destinationConfigMapName",
)

MAX_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one review.

    Attributes:
        body: the AdmissionReview for the API server, in JSON.
        outcome: one of `OUTCOMES` of `metrics.py`.
    """

    body: bytes
    outcome: str


class Admission:
    """Answers the reviews of both webhooks."""

    def __init__(
        self, state: ClusterState, authorizer: Authorizer, slots: ReviewSlots | None = None
    ) -> None:
        """Connect the parts.

        Args:
            state: the cluster, for the checks that depend on it.
            authorizer: the rights of users.
            slots: bounds how many reviews are validated at once; None for the default limits.
        """
        self._state = state
        self._authorizer = authorizer
        self._slots = slots or ReviewSlots()
        self._log = structlog.get_logger("admission")

    async def mutate(self, review: Review) -> Answer:
        """Fill in the static defaults, and the finalizer of a new sync.

        An object that cannot be read is allowed here: the API server's schema or `validate`
        rejects it.
        """
        uid = review.uid
        if exempt(review):
            return Answer(allowed(uid), "exempt")
        patch = mutation(review)
        return Answer(allowed(uid, patch=patch), "patched" if patch else "allowed")

    async def validate(self, review: Review) -> Answer:
        """Check a review in the order of the module's docstring.

        A review that cannot be checked in time, or is one of too many, is denied.

        Raises:
            MalformedReviewError: the metadata of the object cannot be read.
        """
        if exempt(review):
            return Answer(allowed(review.uid), "exempt")
        try:
            async with (
                asyncio.timeout(DECISION_SECONDS),
                self._slots.slot(review.user.username, review.spec_bytes) as questions,
            ):
                return await self._check(review, Requester(of_user(review.user), questions))
        except (ApiError, TimeoutError) as error:
            return self._undecided(review, error)
        except TooManyReviewsError as error:
            return self._throttled(review, error)

    async def _check(self, review: Review, requester: Requester) -> Answer:
        try:
            sync_input = self._read(review)
        except InvalidResourceError as invalid:
            return self._denied(review, invalid.errors)
        denials = await self._denials(review, requester, sync_input)
        if denials and self._authorizer.enforces:
            return self._denied(review, denials)
        snapshot = await self._state.snapshot(sync_input, self._authorizer, requester)
        warnings = [str(denial) for denial in denials]
        if errors := admission_checks.check(sync_input, snapshot):
            return self._denied(review, errors, warnings)
        warnings += admission_checks.warnings(sync_input, snapshot)
        return Answer(allowed(review.uid, _bounded(warnings)), "allowed")

    def _read(self, review: Review) -> AdmissionInput:
        """Parse both versions of the object, and check the new one as far as it needs no cluster.

        Raises:
            InvalidResourceError: the spec cannot be read, or breaks a rule.
            MalformedReviewError: the metadata cannot be read; no API server sends such an object.
        """
        try:
            sync = with_defaults(parse(review.new.document() if review.new else {}))
        except ValueError as error:
            raise MalformedReviewError("the metadata of the object cannot be read") from error
        if errors := validate(sync):
            raise InvalidResourceError(tuple(errors))
        selector = Selector.of(sync, self._state.protected)
        return AdmissionInput(sync, selector, destination_paths(sync, selector), _previous(review))

    async def _denials(
        self, review: Review, requester: Requester, sync_input: AdmissionInput
    ) -> list[FieldError]:
        needs = rights_needed(sync_input.sync, sync_input.targets)
        # Another invalid field of the old version must not let a user drop destinations without
        # the right to do so.
        if (previous := sync_input.previous or _previous(review, EDGE_FIELDS)) is not None:
            needs += rights_to_drop(previous, sync_input.sync, self._state.protected)
        return await self._authorizer.denials(requester, sync_input.sync, needs)

    def _denied(
        self, review: Review, errors: Sequence[FieldError], warnings: Sequence[str] = ()
    ) -> Answer:
        self._log.info(
            "sync denied",
            sync=_name(review),
            user=shortened(review.user.username),
            errors=[str(error)[:MAX_LOGGED_CHARACTERS] for error in errors[:MAX_LOGGED_ERRORS]],
            count=len(errors),
        )
        status = to_status(errors, review.name)
        return Answer(denied(review.uid, status, warnings), "refused")

    def _undecided(self, review: Review, error: ApiError | TimeoutError) -> Answer:
        """Deny a review that could not be checked: allowing it would be a guess."""
        self._log.warning(
            "review not checked", sync=_name(review), error=str(error) or "no answer in time"
        )
        message = (
            "could not check this request: the API server did not answer the webhook's "
            "questions in time; try again"
        )
        status = failure(503, "ServiceUnavailable", message)
        return Answer(denied(review.uid, status), "undecided")

    def _throttled(self, review: Review, error: TooManyReviewsError) -> Answer:
        """Deny with a 429, which the API server passes to its client with a Retry-After header."""
        self._log.warning(
            "too many reviews", sync=_name(review), user=shortened(review.user.username)
        )
        status = failure(429, "TooManyRequests", str(error))
        status["details"] = {"retryAfterSeconds": RETRY_AFTER_SECONDS}
        return Answer(denied(review.uid, status), "throttled")


def exempt(review: Review) -> str | None:
    """Return why a review is allowed unchecked, or None.

    An invalid spec must never block a change of labels or finalizers, or a deletion.
    """
    if (review.resource.group, review.resource.resource) != (GROUP, PLURAL):
        return "another resource"
    if review.operation not in CHECKED_OPERATIONS or review.sub_resource:
        return "another operation"
    if review.new and review.new.metadata.deletion_timestamp:
        return "being deleted"
    if review.spec_is_unchanged:
        return "the spec is unchanged"
    return None


def mutation(review: Review) -> list[Document]:
    """Return the JSON patch of a review; empty if it would change nothing.

    The patch stores the static defaults. A new sync also gets the finalizer, so that the reconciler
    needs no write of its own for it.
    """
    if review.new is None or (present := review.new.shallow_spec()) is None:
        return []  # the API server's schema rejects the object with a better message
    patch = _defaults(present)
    if review.operation == "CREATE":
        patch += _finalizer(review.new.metadata.finalizers)
    return patch


def _finalizer(present: Sequence[str] | None) -> list[Document]:
    """Return the patch that adds the finalizer of the operator after those of others."""
    if present is None:
        return [{"op": "add", "path": "/metadata/finalizers", "value": [FINALIZER]}]
    if FINALIZER in present:
        return []
    return [{"op": "add", "path": "/metadata/finalizers/-", "value": FINALIZER}]


def _defaults(present: Document) -> list[Document]:
    """Return the patch that stores the static defaults of a spec."""
    wanted = default_document(present)
    removed = [{"op": "remove", "path": f"/spec/{key}"} for key in present if key not in wanted]
    return removed + [
        {"op": "replace" if key in present else "add", "path": f"/spec/{key}", "value": value}
        for key, value in wanted.items()
        if key not in present or present[key] != value
    ]


def _previous(review: Review, fields: Collection[str] | None = None) -> ConfigMapSync | None:
    """Parse the old version, or only some fields of its spec; None if that is not possible."""
    if review.old is None:
        return None
    try:
        document = review.old.document()
        if fields is not None and isinstance(spec := document["spec"], dict):
            document["spec"] = {name: spec[name] for name in fields if name in spec}
        return with_defaults(parse(document))
    except (InvalidResourceError, ValueError):
        return None


def _bounded(warnings: list[str]) -> list[str]:
    """Return the first warnings, and the number of the others."""
    more = len(warnings) - MAX_WARNINGS
    return warnings[:MAX_WARNINGS] + ([f"and {more} more warnings"] if more > 0 else [])


def _name(review: Review) -> str:
    return f"{review.namespace}/{review.name}"
