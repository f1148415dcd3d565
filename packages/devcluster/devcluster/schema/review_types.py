"""The fields of access reviews, token reviews and token requests, for decoding."""

from collections.abc import Mapping

from devcluster.schema.types import (
    ANY,
    BOOLEAN,
    INT64,
    STRING,
    STRING_LIST,
    TIME,
    ListOf,
    MapOf,
    Struct,
    object_type,
    struct,
)

REQUIREMENT = struct("SelectorRequirement", key=STRING, operator=STRING, values=STRING_LIST)
FIELD_SELECTOR = struct(
    "FieldSelectorAttributes", rawSelector=STRING, requirements=ListOf(REQUIREMENT)
)
LABEL_SELECTOR = struct(
    "LabelSelectorAttributes", rawSelector=STRING, requirements=ListOf(REQUIREMENT)
)
RESOURCE_ATTRIBUTES = struct(
    "ResourceAttributes",
    namespace=STRING,
    verb=STRING,
    group=STRING,
    version=STRING,
    resource=STRING,
    subresource=STRING,
    name=STRING,
    fieldSelector=FIELD_SELECTOR,
    labelSelector=LABEL_SELECTOR,
)
PATH_ATTRIBUTES = struct("NonResourceAttributes", path=STRING, verb=STRING)
ACCESS_SPEC = struct(
    "SubjectAccessReviewSpec",
    resourceAttributes=RESOURCE_ATTRIBUTES,
    nonResourceAttributes=PATH_ATTRIBUTES,
    user=STRING,
    groups=STRING_LIST,
    extra=MapOf(STRING_LIST),
    uid=STRING,
)
ACCESS_STATUS = struct(
    "SubjectAccessReviewStatus",
    allowed=BOOLEAN,
    denied=BOOLEAN,
    reason=STRING,
    evaluationError=STRING,
)
USER_INFO = struct(
    "UserInfo", username=STRING, uid=STRING, groups=STRING_LIST, extra=MapOf(STRING_LIST)
)
REFERENCE = struct("BoundObjectReference", kind=STRING, apiVersion=STRING, name=STRING, uid=STRING)

REVIEW_TYPES: Mapping[str, Struct] = {
    "SubjectAccessReview": object_type(
        "SubjectAccessReview", spec=ACCESS_SPEC, status=ACCESS_STATUS
    ),
    "LocalSubjectAccessReview": object_type(
        "LocalSubjectAccessReview", spec=ACCESS_SPEC, status=ACCESS_STATUS
    ),
    "SelfSubjectAccessReview": object_type(
        "SelfSubjectAccessReview",
        spec=struct(
            "SelfSubjectAccessReviewSpec",
            resourceAttributes=RESOURCE_ATTRIBUTES,
            nonResourceAttributes=PATH_ATTRIBUTES,
        ),
        status=ACCESS_STATUS,
    ),
    "SelfSubjectRulesReview": object_type(
        "SelfSubjectRulesReview",
        spec=struct("SelfSubjectRulesReviewSpec", namespace=STRING),
        status=struct(
            "SubjectRulesReviewStatus",
            resourceRules=ListOf(ANY),
            nonResourceRules=ListOf(ANY),
            incomplete=BOOLEAN,
            evaluationError=STRING,
        ),
    ),
    "SelfSubjectReview": object_type(
        "SelfSubjectReview", status=struct("SelfSubjectReviewStatus", userInfo=USER_INFO)
    ),
    "TokenReview": object_type(
        "TokenReview",
        spec=struct("TokenReviewSpec", token=STRING, audiences=STRING_LIST),
        status=struct(
            "TokenReviewStatus",
            authenticated=BOOLEAN,
            user=USER_INFO,
            audiences=STRING_LIST,
            error=STRING,
        ),
    ),
    "TokenRequest": object_type(
        "TokenRequest",
        spec=struct(
            "TokenRequestSpec",
            audiences=STRING_LIST,
            expirationSeconds=INT64,
            boundObjectRef=REFERENCE,
        ),
        status=struct("TokenRequestStatus", token=STRING, expirationTimestamp=TIME),
    ),
}
