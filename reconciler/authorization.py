"""Whether a service account that is named may still do what its sync does, as the API server says now.

The webhook asks when a sync is written; rights that are taken away afterwards are noticed here.
"""

from collections.abc import Callable

from configmapsync.resource import ConfigMapSync
from configmapsync.rights import Right, denials_of, of_service_account, rights_needed
from configmapsync.selection import Selector
from configmapsync.targets import targets_of
from kube.access import AccessReviews
from kube.api_server import ApiServer


class Authorization:
    """Asks for each sync that names a service account.

    Args:
        connection: the way to the API server.
        now: the event loop's clock.
        protected: namespaces that are destinations only by exact name.
        interval: seconds after which a right that was taken away is noticed at the latest.
    """

    def __init__(
        self, connection: ApiServer, now: Callable[[], float], protected: frozenset[str], interval: float
    ) -> None:
        # An answer is as old as this when it is used last, and the next look comes as much later: together the interval.
        self.ask_again_after = interval / 2
        self._reviews: AccessReviews[Right] = AccessReviews(connection, now, lambda _: None, self.ask_again_after)
        self._protected = protected

    async def denial(self, sync: ConfigMapSync) -> str | None:
        """Return what the named service account may not do, in the words of the webhook; None where it may, or none is named.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        if sync.spec.service_account_name is None:
            return None
        subject = of_service_account(sync.metadata.namespace, sync.spec.service_account_name)
        needs = rights_needed(sync, targets_of(sync, Selector.of(sync, self._protected)))
        held = await self._reviews.may_broadly(subject, (right for need in needs for right in need.rights))
        return "; ".join(denial.message for denial in denials_of(subject, sync, needs, held)) or None
