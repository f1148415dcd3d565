"""Read and check the Impersonate-* headers (kubectl's --as and --as-group).

The permission is the verb `impersonate` on the user, each group, the uid and each
extra value. kube-apiserver also knows `impersonate-on:MODE:VERB` on the requested
action; here that verb only words the refusal of a name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from urllib.parse import unquote

from devcluster.access.rbac import Attributes, Authorizer
from devcluster.access.users import (
    ANONYMOUS,
    AUTHENTICATED_GROUP,
    UNAUTHENTICATED_GROUP,
    User,
    service_account_groups,
    service_account_of,
    with_group,
)
from devcluster.errors import bad_request
from devcluster.schema.forbidden import forbidden_request

USER_HEADER = "impersonate-user"
GROUP_HEADER = "impersonate-group"
UID_HEADER = "impersonate-uid"
EXTRA_PREFIX = "impersonate-extra-"
AUTHENTICATION_GROUP = "authentication.k8s.io"


def requested_identity(headers: Iterable[tuple[str, str]]) -> User | None:
    """Return the identity that a request asks for; None without such a header. Nothing is checked.

    Raises:
        ApiStatus: 400, parts of an identity without a user name.
    """
    name = uid = ""
    groups: list[str] = []
    extra: dict[str, tuple[str, ...]] = {}
    for header, value in headers:
        key = header.lower()
        if key == USER_HEADER:
            name = value
        elif key == UID_HEADER:
            uid = value
        elif key == GROUP_HEADER:
            groups.append(value)
        elif key.startswith(EXTRA_PREFIX):
            extra_key = unquote(key.removeprefix(EXTRA_PREFIX))
            extra[extra_key] = (*extra.get(extra_key, ()), value)
    if name:
        return User(name, uid, tuple(groups), extra)
    if uid or groups or extra:
        raise bad_request(
            f"requested {_as_go_value(uid, groups, extra)} without impersonating a user name"
        )
    return None


def impersonate(authorizer: Authorizer, user: User, wanted: User, attributes: Attributes) -> User:
    """Return the identity that a request goes on with.

    Args:
        authorizer: decides.
        user: the sender of the request.
        wanted: from `requested_identity`.
        attributes: what the request wants to do.

    Raises:
        ApiStatus: 403, `user` may not be `wanted`.
    """
    for index, question in enumerate(_questions(wanted)):
        if not authorizer.authorize(user, question).allowed:
            mode = "user-info" if service_account_of(wanted.name) is None else "serviceaccount"
            on_request = replace(attributes, verb=f"impersonate-on:{mode}:{attributes.verb}")
            raise forbidden_request(user, question if index else on_request)
    return _completed(wanted)


def _questions(wanted: User) -> Iterator[Attributes]:
    account = service_account_of(wanted.name)
    if account is not None:
        yield Attributes(
            "impersonate", "", "v1", "serviceaccounts", namespace=account[0], name=account[1]
        )
    else:
        yield Attributes("impersonate", "", "v1", "users", name=wanted.name)
    for group in wanted.groups:
        yield Attributes("impersonate", "", "v1", "groups", name=group)
    for key, values in wanted.extra.items():
        for value in values:
            yield Attributes(
                "impersonate", AUTHENTICATION_GROUP, "v1", "userextras", subresource=key, name=value
            )
    if wanted.uid:
        yield Attributes("impersonate", AUTHENTICATION_GROUP, "v1", "uids", name=wanted.uid)


def _completed(wanted: User) -> User:
    """Add the groups that such an identity would have had on its own."""
    account = service_account_of(wanted.name)
    groups = wanted.groups
    if account is not None and not groups:
        groups = service_account_groups(account[0])
    if wanted.name == ANONYMOUS:
        return replace(wanted, groups=with_group(groups, UNAUTHENTICATED_GROUP))
    if UNAUTHENTICATED_GROUP not in groups:
        groups = with_group(groups, AUTHENTICATED_GROUP)
    return replace(wanted, groups=groups)


def _as_go_value(uid: str, groups: list[str], extra: Mapping[str, tuple[str, ...]]) -> str:
    """Print the incomplete identity as the real server does: as Go prints a struct."""
    listed_groups = f"[]string{_braces(groups)}" if groups else "[]string(nil)"
    pairs = ", ".join(f'"{key}":[]string{_braces(values)}' for key, values in sorted(extra.items()))
    listed_extra = f"map[string][]string{{{pairs}}}" if extra else "map[string][]string(nil)"
    return (
        f'&user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{listed_groups}, Extra:{listed_extra}}}'
    )


def _braces(values: Iterable[str]) -> str:
    return "{" + ", ".join(f'"{value}"' for value in values) + "}"
