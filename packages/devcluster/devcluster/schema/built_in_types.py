"""Define the types of fields that several built-in kinds share, or that are large.

`kinds.py` puts them into the table of built-in kinds.
"""

from devcluster.schema.types import (
    ANY,
    BOOLEAN,
    BYTES,
    CONDITIONS,
    INT32,
    INT64,
    MICRO_TIME,
    OBJECT_REFERENCE,
    STRING,
    STRING_LIST,
    STRINGS,
    TIME,
    ListOf,
    Struct,
    Type,
    object_type,
    struct,
)

EVENT_SOURCE = struct("EventSource", component=STRING, host=STRING)
CORE_EVENT = object_type(
    "Event",
    involvedObject=OBJECT_REFERENCE,
    reason=STRING,
    message=STRING,
    source=EVENT_SOURCE,
    firstTimestamp=TIME,
    lastTimestamp=TIME,
    count=INT32,
    type=STRING,
    eventTime=MICRO_TIME,
    series=struct("EventSeries", count=INT32, lastObservedTime=MICRO_TIME),
    action=STRING,
    related=OBJECT_REFERENCE,
    reportingComponent=STRING,
    reportingInstance=STRING,
)
EVENT = object_type(
    "Event",
    eventTime=MICRO_TIME,
    series=struct("EventSeries", count=INT32, lastObservedTime=MICRO_TIME),
    reportingController=STRING,
    reportingInstance=STRING,
    action=STRING,
    reason=STRING,
    regarding=OBJECT_REFERENCE,
    related=OBJECT_REFERENCE,
    note=STRING,
    type=STRING,
    deprecatedSource=EVENT_SOURCE,
    deprecatedFirstTimestamp=TIME,
    deprecatedLastTimestamp=TIME,
    deprecatedCount=INT32,
)
LEASE_SPEC = struct(
    "LeaseSpec",
    holderIdentity=STRING,
    leaseDurationSeconds=INT32,
    acquireTime=MICRO_TIME,
    renewTime=MICRO_TIME,
    leaseTransitions=INT32,
    strategy=STRING,
    preferredHolder=STRING,
)
POLICY_RULE = struct(
    "PolicyRule",
    verbs=STRING_LIST,
    apiGroups=STRING_LIST,
    resources=STRING_LIST,
    resourceNames=STRING_LIST,
    nonResourceURLs=STRING_LIST,
)
SUBJECT = struct("Subject", kind=STRING, apiGroup=STRING, name=STRING, namespace=STRING)
ROLE_REF = Struct("RoleRef", {"apiGroup": STRING, "kind": STRING, "name": STRING}, atomic=True)
LABEL_SELECTOR = Struct(
    "LabelSelector",
    {
        "matchLabels": STRINGS,
        "matchExpressions": ListOf(
            struct("LabelSelectorRequirement", key=STRING, operator=STRING, values=STRING_LIST)
        ),
    },
    atomic=True,
)
RULE_WITH_OPERATIONS = struct(
    "RuleWithOperations",
    operations=STRING_LIST,
    apiGroups=STRING_LIST,
    apiVersions=STRING_LIST,
    resources=STRING_LIST,
    scope=STRING,
)
CLIENT_CONFIG = struct(
    "WebhookClientConfig",
    url=STRING,
    caBundle=BYTES,
    service=struct("ServiceReference", namespace=STRING, name=STRING, path=STRING, port=INT32),
)


def webhook(name: str, /, **more: Type) -> Struct:
    """Return the type of a webhook in a configuration."""
    return struct(
        name,
        name=STRING,
        clientConfig=CLIENT_CONFIG,
        rules=ListOf(RULE_WITH_OPERATIONS),
        failurePolicy=STRING,
        matchPolicy=STRING,
        namespaceSelector=LABEL_SELECTOR,
        objectSelector=LABEL_SELECTOR,
        sideEffects=STRING,
        timeoutSeconds=INT32,
        admissionReviewVersions=STRING_LIST,
        matchConditions=ListOf(
            struct("MatchCondition", name=STRING, expression=STRING), "map", ("name",)
        ),
        **more,
    )


CRD_NAMES = struct(
    "CustomResourceDefinitionNames",
    plural=STRING,
    singular=STRING,
    shortNames=STRING_LIST,
    kind=STRING,
    listKind=STRING,
    categories=STRING_LIST,
)
CRD = object_type(
    "CustomResourceDefinition",
    spec=struct(
        "CustomResourceDefinitionSpec",
        group=STRING,
        names=CRD_NAMES,
        scope=STRING,
        versions=ListOf(ANY),
        conversion=ANY,
        preserveUnknownFields=BOOLEAN,
    ),
    status=struct(
        "CustomResourceDefinitionStatus",
        conditions=CONDITIONS,
        acceptedNames=CRD_NAMES,
        storedVersions=STRING_LIST,
        observedGeneration=INT64,
    ),
)
