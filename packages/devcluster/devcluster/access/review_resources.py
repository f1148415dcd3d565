"""The review resources: discovery, and dispatch of a POST to `reviews.py`.

A review can only be created. It is not stored; the answer is the created object.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from devcluster.access import reviews
from devcluster.access.authentication import Authenticator
from devcluster.access.rbac import Authorizer
from devcluster.access.users import User
from devcluster.schema.kinds import Kind
from devcluster.schema.review_types import REVIEW_TYPES

AUTHORIZATION = "authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"


@dataclass(frozen=True, slots=True)
class ReviewResource:
    """One of them, in its only version, v1."""

    group: str
    kind: str
    namespaced: bool = False

    @property
    def plural(self) -> str:
        """The way paths and rules spell it."""
        return f"{self.kind.lower()}s"

    @property
    def decoded_as(self) -> Kind:
        """The kind by which a body is read and an answer is written."""
        return Kind(
            self.group,
            "v1",
            self.plural,
            self.kind,
            namespaced=self.namespaced,
            type=REVIEW_TYPES[self.kind],
            verbs=("create",),
            is_answer=True,
        )


REVIEW_RESOURCES = (
    ReviewResource(AUTHENTICATION, "SelfSubjectReview"),
    ReviewResource(AUTHENTICATION, "TokenReview"),
    ReviewResource(AUTHORIZATION, "LocalSubjectAccessReview", namespaced=True),
    ReviewResource(AUTHORIZATION, "SelfSubjectAccessReview"),
    ReviewResource(AUTHORIZATION, "SelfSubjectRulesReview"),
    ReviewResource(AUTHORIZATION, "SubjectAccessReview"),
)
TOKEN_REQUEST = ReviewResource(AUTHENTICATION, "TokenRequest", namespaced=True).decoded_as


class Reviewer:
    """Answers all of them for one cluster."""

    def __init__(
        self, authorizer: Authorizer, authenticator: Authenticator, now: Callable[[], datetime]
    ) -> None:
        self._authorizer = authorizer
        self._authenticator = authenticator
        self._now = now

    def answer(
        self, kind: str, user: User, namespace: str, document: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Answer one review.

        Args:
            kind: one of REVIEW_RESOURCES.
            user: the requesting user.
            namespace: of the path, for the one kind that has one.
            document: the review as sent.

        Raises:
            ApiStatus: 400 or 422, it is incomplete.
            KeyError: there is no such kind.
        """
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "SelfSubjectReview": lambda: reviews.self_subject_review(user, self._now()),
            "TokenReview": lambda: reviews.token_review(self._authenticator.review_token, document),
            "LocalSubjectAccessReview": lambda: reviews.local_subject_access_review(
                self._authorizer, document, namespace
            ),
            "SelfSubjectAccessReview": lambda: reviews.self_subject_access_review(
                self._authorizer, user, document
            ),
            "SelfSubjectRulesReview": lambda: reviews.self_subject_rules_review(
                self._authorizer, user, document
            ),
            "SubjectAccessReview": lambda: reviews.subject_access_review(
                self._authorizer, document
            ),
        }
        return answers[kind]()
