"""Read and cache namespaces, as metadata only.

The reconciler's caches, the webhook's cluster state, `plan` and the plugin use these
records. This module decides nothing and writes nothing.
"""

import random

import msgspec

from configmapsync.namespace_index import NamespaceIndex
from configmapsync.selection import Namespace
from kube.client import METADATA, NAMESPACES, ApiServer
from kube.informer import Informer
from kube.rbac import Rule
from kube.wire import PartialObject, decode_as

NAMESPACES_PATH = NAMESPACES.path()

RULES = (Rule("namespaces", ("list", "watch")),)


class NamespaceRecord(msgspec.Struct, frozen=True):
    """A cached namespace.

    Attributes:
        view: the fields that the rules read.
        resource_version: the version that was read.
        namespace: empty, because a namespace is cluster-scoped.
    """

    view: Namespace
    resource_version: str
    namespace: str = ""

    @property
    def name(self) -> str:
        """Return the name of the namespace."""
        return self.view.name


def read_namespace(raw: bytes | msgspec.Raw) -> NamespaceRecord:
    """Return the record of a namespace.

    Args:
        raw: the namespace, or its metadata as a PartialObjectMetadata, in JSON.

    Raises:
        Malformed: the metadata cannot be decoded.
    """
    metadata = decode_as(raw, PartialObject, "the namespace").metadata
    view = Namespace(
        name=metadata.name,
        labels=metadata.labels or {},
        terminating=metadata.deletion_timestamp is not None,
        uid=metadata.uid,
    )
    return NamespaceRecord(view, metadata.resource_version)


def namespace_informer(connection: ApiServer, rng: random.Random) -> Informer[NamespaceRecord]:
    """Return an informer of all namespaces, which has not started.

    Args:
        connection: the API server.
        rng: for the jitter between retries.
    """
    return Informer(connection, NAMESPACES_PATH, decode=read_namespace, accept=METADATA, rng=rng)


def namespaces_by_name(informer: Informer[NamespaceRecord]) -> NamespaceIndex:
    """Return an index that follows the informer's cache; the caller must not change it."""
    index = NamespaceIndex()

    def update(old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        if new is not None:
            index.put(new.view)
        elif old is not None:
            index.remove(old.name)

    informer.on_change(update)
    return index
