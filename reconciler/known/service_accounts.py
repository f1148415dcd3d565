"""Ask whether a named service account may still do what its sync does.

The webhook asks when a sync is written. The reconciler asks again here, so that it notices rights that were taken away afterwards.
"""

import asyncio
from collections.abc import Callable
from weakref import WeakValueDictionary

from configmapsync.destination_paths import destination_paths
from configmapsync.permissions import (
    Right,
    account_of,
    denials_of,
    missing_account_denial,
    of_service_account,
    rights_needed,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.access import MAX_IN_FLIGHT, AccessReviews, ServiceAccounts
from kube.client import Client


class Authorization:
    """Asks for each sync that names a service account.

    Args:
        client: of the API server.
        now: the event loop's clock.
        protected: namespaces that are destinations only by exact name.
        interval: seconds after which a right that was taken away is noticed at the latest.
    """

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        protected: frozenset[str],
        interval: float,
    ) -> None:
        # An answer is as old as this when it is used last, and the next look comes as much later: together the interval.
        self.ask_again_after = interval / 2
        self._reviews: AccessReviews[Right] = AccessReviews(
            client, now, lambda _: None, self.ask_again_after
        )
        # The syncs of one namespace share a bound on the questions under way: slow answers delay no other namespace.
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._accounts = ServiceAccounts(client, now, self.ask_again_after)
        self._protected = protected

    async def denial(self, sync: ConfigMapSync) -> str | None:
        """Return what the named service account may not do, in the words of the webhook; None where it may, or none is named.

        At most the first refusals are named: the check ends there.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        account = account_of(sync)
        if account is None:
            return None
        if not await self._accounts.exists(*account):
            return missing_account_denial(account).message
        subject = of_service_account(*account)
        needs = rights_needed(sync, destination_paths(sync, Selector.of(sync, self._protected)))
        slots = self._slots.setdefault(account.namespace, asyncio.Semaphore(MAX_IN_FLIGHT))
        answers = await self._reviews.check(
            subject, (right for need in needs for right in need.rights), slots
        )
        return (
            "; ".join(denial.message for denial in denials_of(subject, needs, answers.refused))
            or None
        )
