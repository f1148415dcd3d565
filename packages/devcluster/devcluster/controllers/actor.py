"""Read the store and write through the registry as a service account of kube-system."""

from collections.abc import Mapping
from typing import Any

from devcluster.access.users import authenticated, service_account_groups, service_account_name
from devcluster.http.options import DeleteOptions, WriteOptions
from devcluster.schema.catalog import Catalog
from devcluster.schema.kinds import Kind
from devcluster.storage.registry import Registry
from devcluster.storage.store import Object, Revision, Store
from devcluster.storage.target import Target

HOME = "kube-system"


class Actor:
    """One controller's way to objects."""

    def __init__(self, name: str, store: Store, catalog: Catalog, registry: Registry) -> None:
        self.store = store
        self.catalog = catalog
        self.registry = registry
        self._user = authenticated(
            service_account_name(HOME, name), "", service_account_groups(HOME), {}
        )
        self._options = WriteOptions(
            dry_run=False, field_manager=name, field_validation="Warn", force=False
        )

    def served(self, key: tuple[str, str], namespace: str) -> list[tuple[Kind, Revision]]:
        """List the objects of a kind in a namespace (empty: everywhere), with their kind."""
        kind = self.catalog.by_key(key)
        if kind is None:
            return []
        return [(kind, revision) for revision in self.store.items(key, namespace or None)]

    async def create(self, kind: Kind, namespace: str, document: Mapping[str, Any]) -> None:
        """Create an object.

        Raises:
            ApiStatus: it was refused.
        """
        await self.registry.create(
            self._target(kind, namespace, document["metadata"]["name"]), document, self._options
        )

    async def update(self, kind: Kind, old: Object, new: Object, subresource: str = "") -> None:
        """Write an object back, or one part of it.

        Raises:
            ApiStatus: it was refused, or another client has written meanwhile.
        """
        metadata = old["metadata"]
        target = self._target(kind, metadata.get("namespace", ""), metadata["name"], subresource)
        await self.registry.update(target, old, new, self._options)

    async def delete(self, kind: Kind, obj: Object, propagation: str | None = "Background") -> None:
        """Delete this very object, and no namesake made after it.

        Raises:
            ApiStatus: it was refused, or is gone.
        """
        metadata = obj["metadata"]
        options = DeleteOptions(dry_run=False, uid=metadata["uid"], propagation=propagation)
        await self.registry.delete(
            self._target(kind, metadata.get("namespace", ""), metadata["name"]), options
        )

    def _target(self, kind: Kind, namespace: str, name: str, subresource: str = "") -> Target:
        return Target(kind, namespace, name, self._user, _nobody_reads_warnings, subresource)


def _nobody_reads_warnings(_warning: str) -> None:
    """A controller has no terminal."""
