"""Whether named service accounts have the rights they need, as far as whoever plans may ask that."""

from configmapsync.resource import ConfigMapSync
from kube.errors import Forbidden
from reconciler.observe import Denials


class AskedIfAllowed:
    """Asks, until it is told that it may not: then every right is taken for granted, and the plan says so.

    A question about rights is a create, which a user who only reads may well lack.
    """

    def __init__(self, authorization: Denials) -> None:
        self._authorization = authorization
        self.may_ask = True

    async def denial(self, sync: ConfigMapSync) -> str | None:
        """Say what the named service account lacks."""
        if not self.may_ask:
            return None
        try:
            return await self._authorization.denial(sync)
        except Forbidden:
            self.may_ask = False
            return None
