"""Answer access reviews, rules reviews, self reviews and token reviews. Pure.

`kubectl auth can-i` and `auth whoami` ask about the requesting user, admission
webhooks ask about other users. The gate has already decided whether the user may
create the review.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from devcluster.access.rbac import ANY, Attributes, Authorizer
from devcluster.access.users import User
from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.schema.field_problems import invalid_value, required
from devcluster.storage.selectors import label_predicate, read_field_selector

Document = Mapping[str, Any]
AUTHORIZATION = "authorization.k8s.io/v1"
AUTHENTICATION = "authentication.k8s.io/v1"

# the user of a token and the accepting audiences; None for an unknown token or no such audience
ReviewToken = Callable[[str, tuple[str, ...]], tuple[User, tuple[str, ...]] | None]


def subject_access_review(authorizer: Authorizer, review: Document) -> dict[str, Any]:
    """Answer whether another user may do something.

    Raises:
        ApiStatus: 422, the question is incomplete.
    """
    spec = review.get("spec") or {}
    problems = [*_subject_problems(spec), *_metadata_problems(review)]
    if problems:
        raise _incomplete(problems)
    user = User(
        spec.get("user", ""),
        spec.get("uid", ""),
        tuple(spec.get("groups") or ()),
        {key.lower(): tuple(values or ()) for key, values in (spec.get("extra") or {}).items()},
    )
    return _decided(authorizer, user, review, "SubjectAccessReview")


def local_subject_access_review(
    authorizer: Authorizer, review: Document, namespace: str
) -> dict[str, Any]:
    """Answer the same within one namespace, for those who may ask only there.

    Raises:
        ApiStatus: 422 or 400, the question is incomplete or about another namespace.
    """
    spec = review.get("spec") or {}
    problems = _subject_problems(spec)
    if (path := spec.get("nonResourceAttributes")) is not None:
        shown = _shown_path(path)
        problems.append(
            invalid_value("spec.nonResourceAttributes", shown, "disallowed on this kind of request")
        )
    problems += _metadata_problems(review)
    if problems:
        raise _incomplete(problems)
    if (spec.get("resourceAttributes") or {}).get("namespace", "") != namespace:
        raise bad_request(
            f"namespace on request ({namespace}) must match spec.resourceAttributes.namespace"
        )
    answer = subject_access_review(authorizer, review)
    return answer | {"kind": "LocalSubjectAccessReview"}


def self_subject_access_review(
    authorizer: Authorizer, user: User, review: Document
) -> dict[str, Any]:
    """Answer whether the asking user may do something.

    Raises:
        ApiStatus: 422, the question is incomplete.
    """
    problems = [*_attribute_problems(review.get("spec") or {}), *_metadata_problems(review)]
    if problems:
        raise _incomplete(problems)
    return _decided(authorizer, user, review, "SelfSubjectAccessReview")


def self_subject_rules_review(
    authorizer: Authorizer, user: User, review: Document
) -> dict[str, Any]:
    """List everything the asking user may do in a namespace.

    Raises:
        ApiStatus: 400, no namespace.
    """
    namespace = (review.get("spec") or {}).get("namespace") or ""
    if not namespace:
        raise bad_request("no namespace on request")
    rules = [granted.rule for granted in authorizer.rules_of(user, namespace)]
    keys = ("verbs", "apiGroups", "resources", "resourceNames")
    resource_rules = [
        {key: rule[key] for key in keys if rule.get(key)} for rule in rules if rule.get("resources")
    ]
    path_rules = [
        {key: rule[key] for key in ("verbs", "nonResourceURLs")}
        for rule in rules
        if rule.get("nonResourceURLs")
    ]
    return {
        "kind": "SelfSubjectRulesReview",
        "apiVersion": AUTHORIZATION,
        "metadata": {},
        "spec": {},
        "status": {
            "resourceRules": resource_rules,
            "nonResourceRules": path_rules,
            "incomplete": False,
        },
    }


def self_subject_review(user: User, now: datetime) -> dict[str, Any]:
    """Return the identity of the requesting user."""
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": AUTHENTICATION,
        "metadata": {"creationTimestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ")},
        "status": {"userInfo": user.as_user_info()},
    }


def token_review(review_token: ReviewToken, review: Document) -> dict[str, Any]:
    """Return the user of a token to a service.

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
    metadata = dict(review.get("metadata") or {})
    return {
        "kind": "TokenReview",
        "apiVersion": AUTHENTICATION,
        "metadata": metadata,
        "spec": dict(spec),
        "status": status,
    }


def _decided(authorizer: Authorizer, user: User, review: Document, kind: str) -> dict[str, Any]:
    decision = authorizer.authorize(user, _attributes(review["spec"]))
    status: dict[str, Any] = {"allowed": decision.allowed}
    if decision.reason:
        status["reason"] = decision.reason
    status |= _selector_errors(review["spec"])
    metadata, spec = dict(review.get("metadata") or {}), dict(review["spec"])
    return {
        "kind": kind,
        "apiVersion": AUTHORIZATION,
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def _selector_errors(spec: Document) -> dict[str, str]:
    """What the answer says of raw selectors that cannot be read: they are ignored."""
    resource = spec.get("resourceAttributes") or {}
    for name, read in (("fieldSelector", read_field_selector), ("labelSelector", label_predicate)):
        try:
            read((resource.get(name) or {}).get("rawSelector"))
        except ApiStatus:
            return {"evaluationError": f"spec.resourceAttributes.{name} ignored due to parse error"}
    return {}


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


def _subject_problems(spec: Document) -> list[FieldCause]:
    problems = _attribute_problems(spec)
    if not spec.get("user") and not spec.get("groups"):
        problems.append(
            invalid_value("spec.user", "", "at least one of user or group must be specified")
        )
    return problems


def _attribute_problems(spec: Document) -> list[FieldCause]:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is None and path is None:
        why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return [invalid_value("spec.resourceAttributes", None, why)]
    if resource is None:
        return []
    problems = []
    if path is not None:
        why = "cannot be specified in combination with resourceAttributes"
        problems.append(invalid_value("spec.nonResourceAttributes", _shown_path(path), why))
    for name in ("fieldSelector", "labelSelector"):
        if resource.get(name) is not None:
            problems += _selector_problems(resource[name], f"spec.resourceAttributes.{name}")
    return problems


def _selector_problems(selector: Document, field: str) -> list[FieldCause]:
    raw, requirements = selector.get("rawSelector"), selector.get("requirements") or ()
    if raw and requirements:
        why = "may not specified at the same time as requirements"
        return [invalid_value(f"{field}.rawSelector", raw, why)]
    if not raw and not requirements:
        why = f"when {field} is specified, requirements or rawSelector is required"
        return [required(f"{field}.requirements", why)]
    problems = []
    for index, requirement in enumerate(requirements):
        at = f"{field}.requirements[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values") or ()
        if not requirement.get("key"):
            problems.append(required(f"{at}.key", "must be specified"))
        if operator in ("In", "NotIn") and not values:
            problems.append(
                required(f"{at}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            )
        if operator in ("Exists", "DoesNotExist") and values:
            why = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            problems.append(FieldCause("FieldValueForbidden", f"{at}.values", f"Forbidden: {why}"))
    return problems


def _metadata_problems(review: Document) -> list[FieldCause]:
    """Metadata means nothing in an access review, and is refused."""
    metadata = review.get("metadata") or {}
    if set(metadata) <= {"namespace", "managedFields"}:
        return []
    return [invalid_value("metadata", dict(metadata), "must be empty")]


def _shown_path(path: Document) -> dict[str, str]:
    """A path as Go prints it."""
    return {"Path": path.get("path", ""), "Verb": path.get("verb", "")}


def _incomplete(problems: list[FieldCause]) -> ApiStatus:
    """The real server leaves kind and name out here, and so do its words."""
    return invalid("authorization.k8s.io", "", "", problems)
