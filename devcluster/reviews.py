"""Questions about rights and identities that clients ask by "creating" a review. Nothing is stored.

`kubectl auth can-i` and `auth whoami` ask about oneself; the admission webhook asks about the user of a request. Whether
somebody may ask at all is decided before, like for any other resource. Pure: document in, document out.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.field_problems import invalid_value, required
from devcluster.rbac import ANY, Attributes, Authorizer
from devcluster.users import User

Document = Mapping[str, Any]
AUTHORIZATION = "authorization.k8s.io/v1"
AUTHENTICATION = "authentication.k8s.io/v1"

# Whose token is this, and which of the audiences accept it; None if it is nobody's or none of them do
ReviewToken = Callable[[str, tuple[str, ...]], tuple[User, tuple[str, ...]] | None]


def subject_access_review(authorizer: Authorizer, review: Document) -> dict[str, Any]:
    """Answer whether somebody else may do something.

    Raises:
        ApiStatus: 422, the question is incomplete.
    """
    spec = review.get("spec") or {}
    problems = _attribute_problems(spec)
    if not spec.get("user") and not spec.get("groups"):
        problems.append(invalid_value("spec.user", "", "at least one of user or group must be specified"))
    if problems:
        raise _incomplete(problems)
    user = User(
        spec.get("user", ""),
        spec.get("uid", ""),
        tuple(spec.get("groups") or ()),
        {key.lower(): tuple(values) for key, values in (spec.get("extra") or {}).items()},
    )
    return _decided(authorizer, user, review, "SubjectAccessReview")


def local_subject_access_review(authorizer: Authorizer, review: Document, namespace: str) -> dict[str, Any]:
    """Answer the same within one namespace, for those who may ask only there.

    Raises:
        ApiStatus: 422 or 400, the question is incomplete or about another namespace.
    """
    resource = (review.get("spec") or {}).get("resourceAttributes")
    if resource is None:
        why = "must be specified for LocalSubjectAccessReview"
        raise _incomplete([required("spec.resourceAttributes", why)])
    if resource.get("namespace", "") != namespace:
        raise bad_request(f"namespace on request ({namespace}) must match spec.resourceAttributes.namespace")
    answer = subject_access_review(authorizer, review)
    return answer | {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": namespace}}


def self_subject_access_review(authorizer: Authorizer, user: User, review: Document) -> dict[str, Any]:
    """Answer whether the asking user may do something.

    Raises:
        ApiStatus: 422, the question is incomplete.
    """
    problems = _attribute_problems(review.get("spec") or {})
    if problems:
        raise _incomplete(problems)
    return _decided(authorizer, user, review, "SelfSubjectAccessReview")


def self_subject_rules_review(authorizer: Authorizer, user: User, review: Document) -> dict[str, Any]:
    """List everything the asking user may do in a namespace.

    Raises:
        ApiStatus: 400, no namespace.
    """
    namespace = (review.get("spec") or {}).get("namespace") or ""
    if not namespace:
        raise bad_request("no namespace on request")
    rules = [granted.rule for granted in authorizer.rules_of(user, namespace)]
    keys = ("verbs", "apiGroups", "resources", "resourceNames")
    resource_rules = [{key: rule[key] for key in keys if rule.get(key)} for rule in rules if rule.get("resources")]
    path_rules = [
        {key: rule[key] for key in ("verbs", "nonResourceURLs")} for rule in rules if rule.get("nonResourceURLs")
    ]
    return {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": AUTHORIZATION,
        "metadata": {},
        "spec": {},
        "status": {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False},
    }


def self_subject_review(user: User, now: datetime) -> dict[str, Any]:
    """Tell the asking user who they are."""
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": AUTHENTICATION,
        "metadata": {"creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")},
        "status": {"userInfo": user.as_user_info()},
    }


def token_review(review_token: ReviewToken, review: Document) -> dict[str, Any]:
    """Tell a service whose token it was shown.

    Raises:
        ApiStatus: 400, there is no token in the question.
    """
    spec = review.get("spec") or {}
    token = spec.get("token") or ""
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    found = review_token(token, tuple(spec.get("audiences") or ()))
    status: dict[str, Any] = {"user": {}, "error": "invalid bearer token"}
    if found is not None:
        user, audiences = found
        status = {"authenticated": True, "user": user.as_user_info(), "audiences": list(audiences)}
    return {"kind": "TokenReview", "apiVersion": AUTHENTICATION, "metadata": {}, "spec": dict(spec), "status": status}


def _decided(authorizer: Authorizer, user: User, review: Document, kind: str) -> dict[str, Any]:
    decision = authorizer.authorize(user, _attributes(review["spec"]))
    status: dict[str, Any] = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    spec = dict(review["spec"])
    return {"kind": kind, "apiVersion": AUTHORIZATION, "metadata": {}, "spec": spec, "status": status}


def _attributes(spec: Document) -> Attributes:
    resource = spec.get("resourceAttributes")
    if resource is None:
        path = spec["nonResourceAttributes"]
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    return Attributes(
        verb=resource.get("verb", ""),
        group=resource.get("group", ""),
        version=resource.get("version", "") or ANY,
        resource=resource.get("resource", ""),
        subresource=resource.get("subresource", ""),
        namespace=resource.get("namespace", ""),
        name=resource.get("name", ""),
    )


def _attribute_problems(spec: Document) -> list[FieldCause]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if (resource is None) == (path is None):
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        if resource is None:
            return [invalid_value("spec.resourceAttributes", None, why)]
        return [
            invalid_value(
                "spec.nonResourceAttributes", path, "cannot be specified in combination with resourceAttributes"
            )
        ]
    return []


def _incomplete(problems: list[FieldCause]) -> ApiStatus:
    """The real server leaves kind and name out here, and so do its words."""
    return invalid("authorization.k8s.io", "", "", problems)
