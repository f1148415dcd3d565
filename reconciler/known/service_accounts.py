"""Check whether a named service account still has the rights that its sync needs.

`observe.py` calls it at each reconcile. The webhook checks the same rights when a sync
is written; this check notices rights that were revoked later.
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
from kube.access import MAX_IN_FLIGHT, AccessReviews
from kube.client import Client


class Authorization:
    """Checks the rights of service accounts, and caches the answers.

    Args:
        client: of the API server.
        now: the event loop's clock, in seconds.
        interval: seconds within which a revoked right is noticed.

    Attributes:
        ask_again_after: seconds after which a sync must check its rights again.
    """

    def __init__(self, client: Client, now: Callable[[], float], interval: float) -> None:
        # An answer is used up to this age, and the next check comes this much later: together the
        # interval.
        self.ask_again_after = interval / 2
        self._reviews: AccessReviews[Right] = AccessReviews(
            client, now, lambda _: None, self.ask_again_after
        )
        # The syncs of one namespace share a bound on their reviews in flight, so that slow answers
        # delay no other namespace.
        self._slots: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    async def denial(self, sync: ConfigMapSync, selector: Selector) -> str | None:
        """Return which rights the named service account lacks, in the words of the webhook.

        The check stops after the first refusals.

        Args:
            sync: the sync.
            selector: its compiled selection.

        Returns:
            A message; None if no right is missing, or the sync names no service account.

        Raises:
            ApiError: the API server did not answer the access reviews.
        """
        account = account_of(sync)
        if account is None:
            return None
        if not await self._reviews.account_exists(*account):
            return missing_account_denial(account).detail
        subject = of_service_account(*account)
        needs = rights_needed(sync, destination_paths(sync, selector))
        slots = self._slots.setdefault(account.namespace, asyncio.Semaphore(MAX_IN_FLIGHT))
        answers = await self._reviews.check(
            subject, (right for need in needs for right in need.rights), slots
        )
        return (
            "; ".join(denial.detail for denial in denials_of(subject, needs, answers.refused))
            or None
        )
