"""Write a SubjectAccessReview, and read its answer.

`access.py` sends the reviews. A subject and a right can be any objects with the
attributes that a review needs.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import msgspec

from kube.wire import decode_as


class AnySubject(Protocol):
    """A user or service account."""

    @property
    def review_fields(self) -> Mapping[str, Any]:
        """Return the fields of a review that name the subject: user, uid, groups and extra."""


class AnyRight(Protocol):
    """One verb on one object, in one namespace or in all; a hashable dataclass.

    Its fields are those of `resourceAttributes` in a review, apart from the version: verb, group,
    resource, subresource, namespace and name.
    """

    @property
    def broad(self) -> Self:
        """Return the same verb on every object of the cluster, which includes this right."""


class _AccessStatus(msgspec.Struct, frozen=True):
    allowed: bool = False


class _AccessReview(msgspec.Struct, frozen=True):
    status: _AccessStatus = _AccessStatus()


def is_allowed(answer: bytes) -> bool:
    """Return what the API server answered to a review.

    Raises:
        Malformed: the answer is not a SubjectAccessReview.
    """
    return decode_as(answer, _AccessReview, "the SubjectAccessReview").status.allowed


def review_of(user: Mapping[str, Any], right: AnyRight) -> Mapping[str, Any]:
    """Return the review that asks whether a subject has a right.

    Args:
        user: the fields that name the subject, as of `AnySubject.review_fields`.
        right: the right.
    """
    attributes = msgspec.to_builtins(right) | {"version": "v1"}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**user, "resourceAttributes": attributes},
    }
