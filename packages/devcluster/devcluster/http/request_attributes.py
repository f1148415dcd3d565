"""Read from method, path and query what a request asks for. Authorization uses it.

Authorization comes before the lookup of a kind: a user without rights gets the same
answer for a resource that is not served. The form of the path alone decides, as in
kube-apiserver.
"""

from collections.abc import Mapping

from devcluster.access.rbac import Attributes

VERBS = {
    "GET": "get",
    "HEAD": "get",
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
NAMESPACE_SUBRESOURCES = ("status", "finalize")
NAME_SELECTORS = ("metadata.name=", "metadata.name==")


def request_attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """Return what is asked for.

    Args:
        method: of HTTP.
        path: decoded, without the query.
        query: its parameters, the first value of each.
    """
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        return _of_resource(method, "", parts[1], parts[2:], query)
    if len(parts) >= 4 and parts[0] == "apis":
        return _of_resource(method, parts[1], parts[2], parts[3:], query)
    return Attributes(method.lower(), path=path)


def _of_resource(
    method: str, group: str, version: str, parts: list[str], query: Mapping[str, str]
) -> Attributes:
    namespace = ""
    if parts[0] == "namespaces" and len(parts) > 1:
        namespace = parts[1]
        if len(parts) > 2 and parts[2] not in NAMESPACE_SUBRESOURCES:
            parts = parts[2:]
    resource, name, subresource = [*parts, "", ""][:3]
    verb = VERBS.get(method, method.lower())
    if not name and verb == "get":
        verb = "watch" if _is_true(query.get("watch")) else "list"
        name = _selected_name(query.get("fieldSelector", ""))
    elif not name and verb == "delete":
        verb = "deletecollection"
    return Attributes(verb, group, version, resource, subresource, namespace, name)


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() not in ("false", "0")


def _selected_name(field_selector: str) -> str:
    """A list of the one object of a name can be allowed by a rule with that resource name."""
    for requirement in field_selector.split(","):
        for prefix in reversed(NAME_SELECTORS):
            if requirement.startswith(prefix):
                return requirement.removeprefix(prefix)
    return ""
