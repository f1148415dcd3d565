"""The built-in kinds as a table, and the type of custom kinds (`crds.py`).

A kind says what discovery, decoding and applying need. It does not say how objects
are stored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from devcluster.schema.built_in_types import (
    CORE_EVENT,
    CRD,
    EVENT,
    LABEL_SELECTOR,
    LEASE_SPEC,
    POLICY_RULE,
    ROLE_REF,
    SUBJECT,
    webhook,
)
from devcluster.schema.types import (
    ANY,
    BOOLEAN,
    BYTES,
    CONDITIONS,
    OBJECT_REFERENCE,
    STRING,
    STRING_LIST,
    STRINGS,
    ListOf,
    MapOf,
    Struct,
    object_type,
    struct,
)

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
STATUS_VERBS = ("get", "patch", "update")

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        value: what stands in it; None for an empty cell.
        type: `string`, `integer`, `date`, ...
        format: `name` for the column that names the object.
        priority: 0 is always shown, 1 only in wide tables.
    """

    name: str
    value: Callable[[Document], Any]
    type: str = "string"
    format: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Subresource:
    """A path below an object."""

    verbs: tuple[str, ...] = STATUS_VERBS
    kind: str = ""  # of what is sent and answered; the object's own where empty
    group: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource in one version.

    Attributes:
        type: of its objects; None for custom resources, which have a schema.
        storage: the group and plural under which it is stored, where two groups share it.
        custom: what a CRD says; None for built-in kinds.
        unconditional_update: whether a PUT without resourceVersion is taken.
        create_on_update: whether a PUT to a missing name creates it.
        counts_generations: whether `metadata.generation` is kept.
        is_answer: whether it is made for its answer and never stored; such objects have no tables.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    type: Struct | None = None
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ALL_VERBS
    subresources: Mapping[str, Subresource] = field(default_factory=dict, hash=False)
    storage: tuple[str, str] = ("", "")
    custom: Any = None
    unconditional_update: bool = True
    create_on_update: bool = False
    counts_generations: bool = False
    is_answer: bool = False
    singular: str = ""
    list_kind: str = ""

    @property
    def api_version(self) -> str:
        """As objects spell it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def key(self) -> tuple[str, str]:
        """Under what it is stored."""
        return self.storage if self.storage[1] else (self.group, self.plural)

    @property
    def singular_name(self) -> str:
        """What one of it is called."""
        return self.singular or self.kind.lower()

    @property
    def list_kind_name(self) -> str:
        """What many of it are called."""
        return self.list_kind or f"{self.kind}List"


CATEGORY_API = ("api-extensions",)
RBAC = "rbac.authorization.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
STATUS = {"status": Subresource()}


def _workload(
    group: str, version: str, plural: str, kind: str, *short_names: str, namespaced: bool = True
) -> Kind:
    """A kind that nothing here runs: stored, with a generation and a status."""
    return Kind(
        group,
        version,
        plural,
        kind,
        type=object_type(kind, spec=ANY, status=ANY),
        short_names=short_names,
        categories=("all",) if group in ("apps", "batch") or plural in ("pods", "services") else (),
        subresources=STATUS,
        counts_generations=group != "" or plural == "pods",
        namespaced=namespaced,
    )


BUILT_IN: tuple[Kind, ...] = (
    Kind(
        "",
        "v1",
        "configmaps",
        "ConfigMap",
        type=object_type("ConfigMap", data=STRINGS, binaryData=MapOf(BYTES), immutable=BOOLEAN),
        short_names=("cm",),
    ),
    Kind(
        "",
        "v1",
        "namespaces",
        "Namespace",
        namespaced=False,
        type=object_type(
            "Namespace",
            spec=struct("NamespaceSpec", finalizers=STRING_LIST),
            status=struct("NamespaceStatus", phase=STRING, conditions=CONDITIONS),
        ),
        short_names=("ns",),
        verbs=tuple(verb for verb in ALL_VERBS if verb != "deletecollection"),
        subresources={"status": Subresource(), "finalize": Subresource(("update",))},
    ),
    Kind(
        "",
        "v1",
        "secrets",
        "Secret",
        type=object_type(
            "Secret", data=MapOf(BYTES), stringData=STRINGS, type=STRING, immutable=BOOLEAN
        ),
    ),
    Kind(
        "",
        "v1",
        "serviceaccounts",
        "ServiceAccount",
        type=object_type(
            "ServiceAccount",
            secrets=ListOf(OBJECT_REFERENCE, "map", ("name",)),
            imagePullSecrets=ListOf(struct("LocalObjectReference", name=STRING), "map", ("name",)),
            automountServiceAccountToken=BOOLEAN,
        ),
        short_names=("sa",),
        subresources={
            "token": Subresource(("create",), "TokenRequest", "authentication.k8s.io", "v1")
        },
    ),
    Kind(
        "",
        "v1",
        "events",
        "Event",
        type=CORE_EVENT,
        short_names=("ev",),
        storage=("", "events"),
        create_on_update=True,
    ),
    Kind(
        "events.k8s.io",
        "v1",
        "events",
        "Event",
        type=EVENT,
        short_names=("ev",),
        storage=("", "events"),
        create_on_update=True,
    ),
    Kind(
        "coordination.k8s.io",
        "v1",
        "leases",
        "Lease",
        type=object_type("Lease", spec=LEASE_SPEC),
        unconditional_update=False,
        create_on_update=True,
    ),
    Kind(
        "apiextensions.k8s.io",
        "v1",
        "customresourcedefinitions",
        "CustomResourceDefinition",
        namespaced=False,
        type=CRD,
        short_names=("crd", "crds"),
        categories=CATEGORY_API,
        subresources=STATUS,
        unconditional_update=False,
        counts_generations=True,
    ),
    Kind(
        RBAC,
        "v1",
        "clusterrolebindings",
        "ClusterRoleBinding",
        namespaced=False,
        type=object_type("ClusterRoleBinding", subjects=ListOf(SUBJECT), roleRef=ROLE_REF),
        create_on_update=True,
    ),
    Kind(
        RBAC,
        "v1",
        "clusterroles",
        "ClusterRole",
        namespaced=False,
        type=object_type(
            "ClusterRole",
            rules=ListOf(POLICY_RULE),
            aggregationRule=Struct(
                "AggregationRule", {"clusterRoleSelectors": ListOf(LABEL_SELECTOR)}, atomic=True
            ),
        ),
        create_on_update=True,
    ),
    Kind(
        RBAC,
        "v1",
        "rolebindings",
        "RoleBinding",
        type=object_type("RoleBinding", subjects=ListOf(SUBJECT), roleRef=ROLE_REF),
        create_on_update=True,
    ),
    Kind(
        RBAC,
        "v1",
        "roles",
        "Role",
        type=object_type("Role", rules=ListOf(POLICY_RULE)),
        create_on_update=True,
    ),
    Kind(
        ADMISSION,
        "v1",
        "mutatingwebhookconfigurations",
        "MutatingWebhookConfiguration",
        namespaced=False,
        type=object_type(
            "MutatingWebhookConfiguration",
            webhooks=ListOf(
                webhook("MutatingWebhook", reinvocationPolicy=STRING), "map", ("name",)
            ),
        ),
        categories=CATEGORY_API,
        counts_generations=True,
        unconditional_update=False,
    ),
    Kind(
        ADMISSION,
        "v1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        namespaced=False,
        type=object_type(
            "ValidatingWebhookConfiguration",
            webhooks=ListOf(webhook("ValidatingWebhook"), "map", ("name",)),
        ),
        categories=CATEGORY_API,
        counts_generations=True,
        unconditional_update=False,
    ),
    *(
        _workload(ADMISSION, "v1", plural, kind, namespaced=False)
        for plural, kind in (
            ("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
            ("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding"),
        )
    ),
    _workload("", "v1", "pods", "Pod", "po"),
    _workload("", "v1", "services", "Service", "svc"),
    Kind(
        "",
        "v1",
        "resourcequotas",
        "ResourceQuota",
        type=object_type(
            "ResourceQuota",
            spec=struct(
                "ResourceQuotaSpec", hard=MapOf(ANY), scopes=STRING_LIST, scopeSelector=ANY
            ),
            status=struct("ResourceQuotaStatus", hard=MapOf(ANY), used=MapOf(ANY)),
        ),
        short_names=("quota",),
        subresources=STATUS,
    ),
    _workload("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
    _workload("apps", "v1", "deployments", "Deployment", "deploy"),
    _workload("batch", "v1", "jobs", "Job"),
    _workload("batch", "v1", "cronjobs", "CronJob", "cj"),
    _workload("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy", "netpol"),
    _workload("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", "pdb"),
)
