"""Authenticate, impersonate and authorize: every request passes this gate first.

The HTTP shell makes one call. `authentication.py`, `impersonation.py` and `rbac.py`
do the work.
"""

from collections.abc import Iterable

from devcluster.access.audit import AuditLog
from devcluster.access.authentication import Authenticator
from devcluster.access.impersonation import impersonate, requested_identity
from devcluster.access.rbac import Attributes, Authorizer
from devcluster.access.users import User
from devcluster.errors import unauthorized
from devcluster.schema.forbidden import forbidden_request


class Gate:
    """Lets requests in or raises the reason why not."""

    def __init__(
        self, authenticator: Authenticator, authorizer: Authorizer, audit: AuditLog
    ) -> None:
        self._authenticator = authenticator
        self._audit = audit
        self.authorizer = authorizer

    def admit(self, headers: Iterable[tuple[str, str]], attributes: Attributes) -> User:
        """Return the user a request is carried out for.

        Args:
            headers: of the request, repeated ones repeated.
            attributes: what the request wants to do.

        Raises:
            ApiStatus: 401 for bad credentials, 400 or 403 for a bad impersonation, 403 for a
                missing permission.
        """
        listed = list(headers)
        authorization = next(
            (value for name, value in listed if name.lower() == "authorization"), None
        )
        user = self._authenticator.authenticate(authorization)
        if user is None:
            raise unauthorized()
        wanted = requested_identity(listed)
        if wanted is not None:
            user = impersonate(self.authorizer, user, wanted, attributes)
        allowed = self.authorizer.authorize(user, attributes).allowed
        self._audit.note(user.name, attributes, allowed=allowed)
        if not allowed:
            raise forbidden_request(user, attributes)
        return user
