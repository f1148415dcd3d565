"""Define ConfigMapSync, the sync that the rules read: its metadata and its spec.

`parsing.py` and `cluster/syncs.py` make it, and `spec.py` defines the spec. The status
is not part of it: a plan must come out the same whatever an earlier reconcile reported.
"""

from msgspec import Struct

from configmapsync.names import NamespacedName
from configmapsync.spec import ConfigMapSyncSpec, DeletionPolicy, SourceDeletionPolicy
from configmapsync.timestamps import Timestamp, normalize_times


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The metadata that the operator reads."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int | None = None
    creation_timestamp: Timestamp | None = None
    deletion_timestamp: Timestamp | None = None
    finalizers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring the times into the stored form."""
        normalize_times(self, "creation_timestamp", "deletion_timestamp")


# The docstring is the description of the resource in the CRD.
class ConfigMapSync(Struct, frozen=True):
    """Keeps copies of a ConfigMap up to date in all selected namespaces."""

    metadata: ObjectMeta
    spec: ConfigMapSyncSpec

    @property
    def key(self) -> NamespacedName:
        """Return the namespace and name of the sync."""
        return NamespacedName(self.metadata.namespace, self.metadata.name)

    @property
    def source(self) -> NamespacedName:
        """Return the key of the source."""
        return NamespacedName(
            self.spec.source_namespace or self.metadata.namespace, self.spec.config_map_name
        )

    @property
    def destination_name(self) -> str:
        """Return the name of the copies."""
        return self.spec.destination_config_map_name or self.spec.config_map_name

    @property
    def deleting(self) -> bool:
        """Return whether the sync is being deleted."""
        return self.metadata.deletion_timestamp is not None

    @property
    def may_delete_copies(self) -> bool:
        """Return whether any policy can delete a copy; only then the right to delete is checked."""
        return DeletionPolicy.DELETE is self.spec.deletion_policy or (
            self.spec.source_deletion_policy is SourceDeletionPolicy.DELETE
        )
