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
DESTINATION = f"{GROUP}/destination"  # the copy's own place: a clone of a copy, marks and all, is known by it
DIGEST = f"{GROUP}/digest"
DELETION_POLICY = f"{GROUP}/deletion-policy"
ADOPTED = f"{GROUP}/adopted"
APPLIED_METADATA = (
    f"{GROUP}/applied-metadata"  # which other keys we put on a copy: what is no longer asked for goes again
)
MARKS = frozenset(
    {
        MANAGED_BY_LABEL,
        SYNC_UID_LABEL,
        SYNCED_BY,
        SOURCE,
        DESTINATION,
        DIGEST,
        DELETION_POLICY,
        ADOPTED,
        APPLIED_METADATA,
    }
)

# On a namespace: receives nothing new and keeps nothing of ours.
SYNC_DISABLED_LABEL = f"{GROUP}/sync"
SYNC_DISABLED_VALUE = "disabled"

# ConfigMaps that a cluster component writes into every namespace: as destinations they would be fought over for ever.
RESERVED_CONFIGMAPS = frozenset({"kube-root-ca.crt", "istio-ca-root-cert", "openshift-service-ca.crt"})

# Namespaces that no glob and no selector reaches; the operator's own is added where it runs.
PROTECTED_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease"})

# Keys by which other tools know their own objects: taken over to a copy they would prune it, claim it or fight for it.
TRACKING_KEYS = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        "app.kubernetes.io/managed-by",
        "app.kubernetes.io/instance",  # Argo CD's default tracking label
        "applyset.kubernetes.io/part-of",
    }
)
TRACKING_PREFIXES = (
    f"{GROUP}/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "helm.sh/",
)


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


def is_tracking_key(key: str) -> bool:
    """Whether a label or annotation key belongs to a tool that tracks objects by it."""
    return key in TRACKING_KEYS or key.startswith(TRACKING_PREFIXES)
