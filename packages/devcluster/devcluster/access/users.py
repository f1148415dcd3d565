"""The identity that authentication passes to authorization, admission and reviews.

`authentication.py` creates users, `impersonation.py` replaces them, `rbac.py`
authorizes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

ANONYMOUS = "system:anonymous"
AUTHENTICATED_GROUP = "system:authenticated"
UNAUTHENTICATED_GROUP = "system:unauthenticated"
# This group may do everything without a role: the way back in when the RBAC objects are broken.
MASTERS_GROUP = "system:masters"
SERVICE_ACCOUNT_PREFIX = "system:serviceaccount:"
SERVICE_ACCOUNTS_GROUP = "system:serviceaccounts"
CREDENTIAL_ID = (
    "authentication.kubernetes.io/credential-id"  # extra: which certificate or token it was
)


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated or anonymous identity, with the fields of UserInfo."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_user_info(self) -> dict[str, object]:
        """Render the way reviews and webhooks carry it: empty fields are left out."""
        info: dict[str, object] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


def anonymous() -> User:
    """Return the user of requests without credentials."""
    return User(ANONYMOUS, groups=(UNAUTHENTICATED_GROUP,))


def authenticated(
    name: str, uid: str, groups: tuple[str, ...], extra: Mapping[str, tuple[str, ...]]
) -> User:
    """Return a user with valid credentials, in the group system:authenticated."""
    return User(name, uid, with_group(groups, AUTHENTICATED_GROUP), extra)


def with_group(groups: tuple[str, ...], group: str) -> tuple[str, ...]:
    """Add a group at the end unless it is there already."""
    return groups if group in groups else (*groups, group)


def service_account_name(namespace: str, name: str) -> str:
    """Spell the user name of a service account."""
    return f"{SERVICE_ACCOUNT_PREFIX}{namespace}:{name}"


def service_account_groups(namespace: str) -> tuple[str, ...]:
    """Every service account is in these two groups."""
    return (SERVICE_ACCOUNTS_GROUP, f"{SERVICE_ACCOUNTS_GROUP}:{namespace}")


def service_account_of(user_name: str) -> tuple[str, str] | None:
    """Return namespace and name of a service account by its user name; None for other users."""
    if not user_name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    namespace, separator, name = user_name.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    return (namespace, name) if separator and namespace and name and ":" not in name else None
