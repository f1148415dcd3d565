"""Name everything that the operator writes into a cluster: group, labels, annotations.

These names are an interface: after a change of one of them, the operator no longer
recognizes the objects that have the old name. The names that the operator avoids are
here as well.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

GROUP = "apps.nishaf.info"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "ConfigMapSync"
PLURAL = "configmapsyncs"
SINGULAR = "configmapsync"
SHORT_NAME = "cmsync"

FINALIZER = f"{GROUP}/cleanup"

# The marks of a copy. A name can have 253 characters and a label value 63, so names are in
# annotations.
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE = "configmapsync"
SYNC_UID_LABEL = f"{GROUP}/sync-uid"
SYNCED_BY = f"{GROUP}/synced-by"
SOURCE = f"{GROUP}/source"
# The key of the copy. A clone of a copy repeats it and is recognized by it.
DESTINATION = f"{GROUP}/destination"
DIGEST = f"{GROUP}/digest"
DELETION_POLICY = f"{GROUP}/deletion-policy"
ADOPTED = f"{GROUP}/adopted"
# On an adopted ConfigMap: the labels and annotations that the sync replaced, as JSON. They are
# restored when the sync no longer applies the key, or releases the ConfigMap.
REPLACED = f"{GROUP}/replaced"
# On a released copy: the sync that may take it back, and the key of the copy.
RELEASED_BY = f"{GROUP}/released-by"
# The other keys that the sync applied; those that it no longer applies are removed.
APPLIED_METADATA = f"{GROUP}/applied-metadata"
MARKS_OF: Mapping[str, frozenset[str]] = {
    "labels": frozenset({MANAGED_BY_LABEL, SYNC_UID_LABEL}),
    "annotations": frozenset(
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
    ),
}
MARKS = frozenset().union(*MARKS_OF.values())

# On a namespace: it gets no copies, and existing copies are removed.
SYNC_DISABLED_LABEL = f"{GROUP}/sync"
SYNC_DISABLED_VALUE = "disabled"

# ConfigMaps that a component of the cluster writes into every namespace. As destinations they
# would be contested forever.
RESERVED_CONFIGMAPS = frozenset(
    {"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt"}
)

# Namespaces that no glob and no selector selects. Each process adds its own namespace.
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

# Keys in these domains and their subdomains belong to Kubernetes, to tools that prune or claim
# objects by them, and to other tools that copy ConfigMaps. Globs in `copyMetadata` never match
# them: another tool could delete or copy a copy with such a key.
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
_RESERVED_ENDINGS = tuple(f".{domain}" for domain in RESERVED_DOMAINS)
# Operator Lifecycle Manager: olm.owner, olm.managed, olm.owner.namespace
_RESERVED_PREFIX = "olm."


class NamespacedName(NamedTuple):
    """The namespace and the name of an object."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str | None) -> Self | None:
        """Return the parts of `namespace/name`; None if the text has another form."""
        namespace, slash, name = (text or "").partition("/")
        if not (namespace and slash and name) or "/" in name:
            return None
        return cls(namespace, name)


def is_own_key(key: str) -> bool:
    """Return whether a label or annotation key is a mark, or in the group of the operator."""
    return key in MARKS or key.rpartition("/")[0] == GROUP


def is_reserved_key(key: str) -> bool:
    """Return whether a label or annotation key belongs to Kubernetes or to another tool."""
    prefix, slash, _ = key.rpartition("/")
    if not slash:
        return key in RESERVED_DOMAINS or key.startswith(_RESERVED_PREFIX)
    return f".{prefix}".endswith(_RESERVED_ENDINGS)
