"""Every name that appears in a cluster because of us: group, labels, annotations, finalizer; and names we keep away from.

Changing one of them orphans what carries the old one: treat this page as an interface.
"""

from typing import NamedTuple, Self

GROUP = "apps.nishaf.info"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ConfigMapSync"
PLURAL = "configmapsyncs"
SINGULAR = "configmapsync"
SHORT_NAME = "cmsync"

FINALIZER = f"{GROUP}/cleanup"

# The marks of a copy. A name can be 253 characters long and a label value 63, so names stand in annotations only.
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "configmapsync"
SYNC_UID_LABEL = f"{GROUP}/sync-uid"
SYNCED_BY = f"{GROUP}/synced-by"
SOURCE = f"{GROUP}/source"
DESTINATION = (
    f"{GROUP}/destination"  # the copy's own place: a clone of a copy, marks and all, is known by it
)
DIGEST = f"{GROUP}/digest"
DELETION_POLICY = f"{GROUP}/deletion-policy"
ADOPTED = f"{GROUP}/adopted"
# On an adopted ConfigMap: the labels and annotations that the sync overwrote, as JSON. They are
# restored when the sync no longer asks for the key, or releases the ConfigMap.
REPLACED = f"{GROUP}/replaced"
# On a released copy: the sync that released it and may take it back, and the copy's own place.
RELEASED_BY = f"{GROUP}/released-by"
APPLIED_METADATA = f"{GROUP}/applied-metadata"  # which other keys we put on a copy: what is no longer asked for goes again
MARK_LABELS = frozenset({MANAGED_BY_LABEL, SYNC_UID_LABEL})
MARK_ANNOTATIONS = frozenset(
    {
        SYNCED_BY,
        SOURCE,
        DESTINATION,
        DIGEST,
        DELETION_POLICY,
        ADOPTED,
        REPLACED,
        RELEASED_BY,
        APPLIED_METADATA,
    }
)
MARKS = MARK_LABELS | MARK_ANNOTATIONS

# On a namespace: receives nothing new and keeps nothing of ours.
SYNC_DISABLED_LABEL = f"{GROUP}/sync"
SYNC_DISABLED_VALUE = "disabled"

# ConfigMaps that a cluster component writes into every namespace: as destinations they would be fought over for ever.
RESERVED_CONFIGMAPS = frozenset(
    {"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt"}
)

# Namespaces that no glob and no selector reaches; the operator's own is added where it runs.
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

# Labels and annotations in these domains and their subdomains belong to Kubernetes, to
# tools that prune or claim objects by them, and to tools that copy ConfigMaps as we do.
# Globs in `copyMetadata` never match them: a copy with such a key could be deleted or
# copied on.
RESERVED_DOMAINS = frozenset(
    {
        GROUP,
        # Kubernetes: last-applied-configuration, recommended labels, addon manager,
        # ApplySets, inventories of kpt and cli-utils, kustomize
        "kubernetes.io",
        "k8s.io",
        "x-k8s.io",  # hierarchical namespaces, cluster API
        "argoproj.io",  # Argo CD
        "fluxcd.io",  # Flux
        "helm.sh",  # Helm
        "k14s.io",  # kapp
        "carvel.dev",  # kapp-controller, secretgen-controller
        "cattle.io",  # Rancher: objectset, Fleet
        "kpt.dev",  # kpt
        "gke.io",  # Config Sync
        "gke.goog",
        "operatorframework.io",  # Operator Lifecycle Manager
        "coreos.com",
        "openshift.io",
        "open-cluster-management.io",
        "crossplane.io",
        "pulumi.com",
        "kyverno.io",
        "emberstack.com",  # kubernetes-reflector
        "mittwald.de",  # kubernetes-replicator
        "appscode.com",  # kubed
        "kubeops.dev",  # config-syncer
        "clustersecret.io",
        "external-secrets.io",
        "cert-manager.io",  # trust-manager
        "zalando.org",  # kopf
    }
)
RESERVED_PREFIXES = (
    "olm.",
)  # Operator Lifecycle Manager: olm.owner, olm.managed, olm.owner.namespace


class NamespacedName(NamedTuple):
    """Where a namespaced object is found."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Read `namespace/name`; None where it is not of that form."""
        namespace, slash, name = (text or "").partition("/")
        if not (namespace and slash and name) or "/" in name:
            return None
        return cls(namespace, name)


def is_own_key(key: str) -> bool:
    """Whether a label or annotation key is a mark of a copy, or any other key of our group."""
    return key in MARKS or key.rpartition("/")[0] == GROUP


def is_reserved_key(key: str) -> bool:
    """Whether a label or annotation key belongs to Kubernetes or to a tool that tracks objects."""
    prefix, slash, _ = key.rpartition("/")
    if not slash:
        return key in RESERVED_DOMAINS or key.startswith(RESERVED_PREFIXES)
    parts = prefix.rsplit(".", 3)
    return prefix in RESERVED_DOMAINS or any(
        ".".join(parts[start:]) in RESERVED_DOMAINS for start in range(1, len(parts))
    )
