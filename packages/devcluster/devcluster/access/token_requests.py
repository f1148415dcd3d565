"""Answer TokenRequests: POST serviceaccounts/NAME/token.

The client chooses lifetime and audiences within limits. `tokens.py` signs.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from devcluster.access.tokens import ISSUER, Bound, ServiceAccountTokens
from devcluster.errors import ApiStatus, bad_request, invalid
from devcluster.schema.field_problems import invalid_value

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
MINIMUM_SECONDS = 600
MAXIMUM_SECONDS = 2**32


def request_token(
    tokens: ServiceAccountTokens,
    service_account: Mapping[str, Any],
    document: Mapping[str, Any],
    timestamp: Callable[[], str],
) -> dict[str, Any]:
    """Issue a token and return the TokenRequest with it.

    Args:
        tokens: signs.
        service_account: the stored ServiceAccount.
        document: the TokenRequest as sent.
        timestamp: now, as the API writes times.

    Raises:
        ApiStatus: 422, the lifetime is out of bounds; 400, the token is to be bound to an object.
    """
    spec, given = document.get("spec") or {}, document.get("metadata") or {}
    _check_identity(given, service_account["metadata"])
    seconds = (
        DEFAULT_SECONDS if spec.get("expirationSeconds") is None else spec["expirationSeconds"]
    )
    _check_lifetime(seconds)
    metadata = service_account["metadata"]
    namespace, name, uid = metadata["namespace"], metadata["name"], metadata["uid"]
    if spec.get("boundObjectRef"):
        raise bad_request("spec.boundObjectRef: tokens are bound to service accounts only")
    audiences = tuple(spec.get("audiences") or (ISSUER,))
    token, expires = tokens.issue(
        namespace,
        Bound(name, uid),
        lifetime=timedelta(seconds=seconds),
        audiences=audiences,
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
            "boundObjectRef": None,
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
