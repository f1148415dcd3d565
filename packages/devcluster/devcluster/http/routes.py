"""Map a path to a kind, an object and a subresource."""

from dataclasses import dataclass

from devcluster.errors import ApiStatus, not_found
from devcluster.schema.catalog import Catalog
from devcluster.schema.kinds import Kind

NAMESPACE_PARTS = ("status", "finalize")


class NoSuchPathError(Exception):
    """Nothing is served there: not even a Status is answered, only text."""


@dataclass(frozen=True, slots=True)
class Route:
    """A resource path.

    Attributes:
        kind: of what it names.
        namespace: None where it spans all, or where the kind has none.
        name: empty for the collection.
        subresource: empty for the object itself.
    """

    kind: Kind
    namespace: str | None
    name: str
    subresource: str

    @property
    def home(self) -> str:
        """The namespace as objects carry it."""
        return self.namespace or ""


def find_route(path: str, catalog: Catalog) -> Route:
    """Read a path below /api/v1 or /apis/GROUP/VERSION.

    Raises:
        NoSuchPathError: the group is not served.
        ApiStatus: 404, the version or the resource is not.
    """
    parts = [part for part in path.split("/") if part]
    if parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    else:
        group, version, rest = parts[1], parts[2], parts[3:]
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_PARTS:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource = [*rest, "", ""][:3]
    kind = catalog.find(group, version, plural)
    if kind is None:
        if any(
            known.group == group and (known.custom is None or known.version == version)
            for known in catalog
        ):
            raise no_such_resource()
        raise NoSuchPathError(path)
    if kind.custom is not None and subresource and subresource not in kind.subresources:
        raise not_found(group, plural, name)
    if len(rest) > 3 or (subresource and subresource not in kind.subresources):
        raise no_such_resource()
    if (namespace is not None) != kind.namespaced and (namespace is not None or name):
        raise no_such_resource()
    return Route(kind, namespace, name, subresource)


def no_such_resource() -> ApiStatus:
    """404: this group has no such resource."""
    return ApiStatus(404, "NotFound", "the server could not find the requested resource", {})


def not_allowed() -> ApiStatus:
    """405: the resource does not do that."""
    return ApiStatus(
        405,
        "MethodNotAllowed",
        "the server does not allow this method on the requested resource",
        {},
    )
