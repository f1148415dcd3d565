"""Answer TokenRequests: POST serviceaccounts/NAME/token.

The client chooses lifetime, audiences and bound object within limits. `tokens.py`
signs.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from devcluster.access.tokens import ISSUER, Bound, ServiceAccountTokens, UidLookup
from devcluster.errors import ApiStatus, bad_request, invalid, not_found
from devcluster.schema.field_problems import invalid_value

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MINIMUM_SECONDS = 600
MAXIMUM_SECONDS = 2**32
BINDABLE = {("v1", "Pod"): "pods", ("v1", "Secret"): "secrets"}


def request_token(
    tokens: ServiceAccountTokens,
    uid_of: UidLookup,
    service_account: Mapping[str, Any],
    document: Mapping[str, Any],
    timestamp: Callable[[], str],
) -> dict[str, Any]:
    """Issue a token and return the TokenRequest with it.

    Args:
        tokens: signs.
        uid_of: finds the object a token is to be bound to.
        service_account: the stored ServiceAccount.
        document: the TokenRequest as sent.
        timestamp: now, as the API writes times.

    Raises:
        ApiStatus: 422, 400 or 404 if the lifetime is out of bounds, or if the token cannot be
            bound to the object, or if the object does not exist.
    """
    spec, given = document.get("spec") or {}, document.get("metadata") or {}
    _check_identity(given, service_account["metadata"])
    seconds = (
        DEFAULT_SECONDS if spec.get("expirationSeconds") is None else spec["expirationSeconds"]
    )
    _check_lifetime(seconds)
    metadata = service_account["metadata"]
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    reference = spec.get("boundObjectRef")
    audiences = tuple(spec.get("audiences") or (ISSUER,))
    token, expires = tokens.issue(
        namespace,
        Bound(name, uid),
        lifetime=timedelta(seconds=seconds),
        audiences=audiences,
        bound_to=_bound_to(reference, namespace, uid_of) if reference else None,
    )
    return {
        "kind": "TokenRequest",
        "apiVersion": f"{GROUP}/v1",
        "metadata": {
            **given,
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "creationTimestamp": timestamp(),
        },
        "spec": {
            "audiences": list(audiences),
            "expirationSeconds": seconds,
            "boundObjectRef": reference,
        },
        "status": {"token": token, "expirationTimestamp": expires.strftime("%Y-%m-%dT%H:%M:%SZ")},
    }


def _check_identity(given: Mapping[str, Any], account: Mapping[str, Any]) -> None:
    """A request that names an account must name this one."""
    name = account["name"]
    if given.get("name") and given["name"] != name:
        why = "must match the service account name if specified"
        raise invalid(
            GROUP, "TokenRequest", name, [invalid_value("metadata.name", given["name"], why)]
        )
    if given.get("uid") and given["uid"] != account["uid"]:
        why = (
            f"the UID in the token request ({given['uid']}) does not match the UID of the service "
            f"account ({account['uid']})"
        )
        message = f'Operation cannot be fulfilled on TokenRequest.{GROUP} "{name}": {why}'
        raise ApiStatus(
            409, "Conflict", message, {"name": name, "group": GROUP, "kind": "TokenRequest"}
        )


def _check_lifetime(seconds: int) -> None:
    problem = ""
    if seconds < MINIMUM_SECONDS:
        problem = "may not specify a duration less than 10 minutes"
    elif seconds > MAXIMUM_SECONDS:
        problem = "may not specify a duration larger than 2^32 seconds"
    if problem:
        raise invalid(
            GROUP, "TokenRequest", "", [invalid_value("spec.expirationSeconds", seconds, problem)]
        )


def _bound_to(reference: Mapping[str, str], namespace: str, uid_of: UidLookup) -> dict[str, Bound]:
    api_version, kind, name = (reference.get(key, "") for key in ("apiVersion", "kind", "name"))
    resource = BINDABLE.get((api_version, kind))
    if resource is None:
        raise bad_request(f"cannot bind token to object of type /{api_version}, Kind={kind}")
    uid = uid_of(resource, namespace, name)
    if uid is None:
        raise not_found("", resource, name)
    return {kind.lower(): Bound(name, uid)}
