"""The write as admission sees it, for matching and calling webhooks."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from devcluster.access.users import User

Document = Mapping[str, Any]


class Operation(StrEnum):
    """The operations that rules name."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


OPTIONS_KINDS = {
    Operation.CREATE: "CreateOptions",
    Operation.UPDATE: "UpdateOptions",  # also for patches and server-side apply
    Operation.DELETE: "DeleteOptions",
}


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind and its resource in one version."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """As objects spell it: apps/v1, or v1 alone for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True)
class AdmissionRequest:
    """One write, before it is stored.

    `namespace` of a Namespace is its own name, as in kube-apiserver. `namespace_labels` are the
    labels of the stored namespace. `options` come from the query or the body, without kind and
    apiVersion.
    """

    operation: Operation
    resource: Resource
    name: str
    namespace: str
    user: User
    object: Document | None
    old_object: Document | None = None
    subresource: str = ""
    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    options: Document = field(default_factory=dict)
    dry_run: bool = False

    def with_object(self, document: Document) -> "AdmissionRequest":
        """Return the same write with the object as a webhook changed it."""
        return replace(self, object=document)
