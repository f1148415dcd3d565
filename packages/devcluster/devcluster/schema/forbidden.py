"""Render the message of a 403: user, verb, resource and scope."""

from devcluster.access.rbac import Attributes
from devcluster.access.users import User
from devcluster.errors import ApiStatus, forbidden


def forbidden_request(user: User, attributes: Attributes) -> ApiStatus:
    """Return the 403 for a request. It does not reveal whether the object exists."""
    if attributes.path:
        message = f'forbidden: User "{user.name}" cannot {attributes.verb} path "{attributes.path}"'
        return ApiStatus(403, "Forbidden", message, {})
    where = (
        f'in the namespace "{attributes.namespace}"'
        if attributes.namespace
        else "at the cluster scope"
    )
    what = (
        f'{attributes.verb} resource "{attributes.resource_path}" in API group "{attributes.group}"'
    )
    why = f'User "{user.name}" cannot {what} {where}'
    return forbidden(attributes.group, attributes.resource, attributes.name, why)
