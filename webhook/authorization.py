"""Ask the API server what the user of a review, or the named service account, may do.

`admission.py` asks for denials after the shape of a sync is checked and before its
namespaces and ConfigMaps are read; `cluster_state.py` asks what the user may see. This
module does not know what a sync copies: it receives the rights.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from configmapsync.fielderrors import FieldError, forbidden
from configmapsync.names import NamespacedName
from configmapsync.permissions import (
    Need,
    Right,
    Subject,
    account_of,
    acting_denial,
    denials_of,
    missing_account_denial,
    of_service_account,
    rights_to_act_as,
)
from configmapsync.resource import ConfigMapSync
from kube.access import MAX_REFUSALS, AccessReviews
from kube.client import Client
from webhook.admission_review import User
from webhook.settings import AuthorizationMode

CACHE_SECONDS = 5.0

# Characters of a user name in messages and logs; identity providers set no limit.
MAX_SHOWN_NAME = 128


@dataclass(frozen=True, slots=True)
class Requester:
    """The user of one request.

    Attributes:
        subject: the user, as the API server authenticated it.
        slots: bounds the access reviews that are sent for this user at once.
    """

    subject: Subject
    slots: asyncio.Semaphore


class Authorizer:
    """Answers which rights a user has, from SubjectAccessReviews.

    A right that was granted, and an account that exists, count for `CACHE_SECONDS` without
    another request. A cached refusal denies nothing: it is asked for again.
    """

    def __init__(
        self,
        client: Client,
        now: Callable[[], float],
        on_answer: Callable[[bool], None],
        mode: AuthorizationMode = AuthorizationMode.ENFORCE,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            client: of the API server.
            now: returns the time in seconds, on the event loop's clock.
            on_answer: called with each answer of the API server; True is a yes.
            mode: what a missing right leads to; with `OFF`, nothing is asked.
        """
        self._mode = mode
        self._reviews: AccessReviews[Right] = AccessReviews(client, now, on_answer, CACHE_SECONDS)

    @property
    def enforces(self) -> bool:
        """Return whether a missing right leads to a denial, not to a warning."""
        return self._mode is AuthorizationMode.ENFORCE

    async def denials(
        self, requester: Requester, sync: ConfigMapSync, needs: Sequence[Need]
    ) -> list[FieldError]:
        """Return errors for the rights that the user, or the account that the sync names, lacks.

        A named account is checked first: whether the user may act as it, then whether it
        exists. The other rights are checked only after both. There is one denial for each
        field and namespace, and the check ends after the first `MAX_REFUSALS`.

        Raises:
            ApiError: the API server returned an error, or did not answer in time.
        """
        if self._mode is AuthorizationMode.OFF:
            return []
        subject = requester.subject
        if (account := account_of(sync)) is not None:
            if denial := await self._account_denial(requester, account):
                return [denial]
            subject = of_service_account(*account)
        rights = (right for need in needs for right in need.rights)
        answers = await self._reviews.check(subject, rights, requester.slots)
        denials = denials_of(subject, needs, answers.refused)
        if not answers.complete:
            message = (
                f"the check of the rights of {subject.title} ended after {MAX_REFUSALS} denials; "
                "more rights may be missing"
            )
            denials.append(forbidden("spec", message))
        return denials

    async def may(self, requester: Requester, rights: Iterable[Right]) -> set[Right]:
        """Return those of `rights` that the user has; all of them in mode `OFF`.

        Raises:
            ApiError: the API server returned an error, or did not answer in time.
        """
        if self._mode is AuthorizationMode.OFF:
            return set(rights)
        return await self._reviews.may(requester.subject, rights, requester.slots)

    async def _account_denial(
        self, requester: Requester, account: NamespacedName
    ) -> FieldError | None:
        user = requester.subject
        may_act = user.username == of_service_account(*account).username or await self._reviews.may(
            user, rights_to_act_as(account), requester.slots
        )
        if not may_act:
            return acting_denial(user, account)
        exists = await self._reviews.account_exists(*account)
        return None if exists else missing_account_denial(account)


def of_user(user: User) -> Subject:
    """Return the user with groups, uid and extra, because authorizers read all of them."""
    extra = tuple(sorted(user.extra.items()))
    return Subject(
        f'user "{shortened(user.username)}"', user.username, user.uid, user.groups, extra
    )


def shortened(username: str) -> str:
    """Return a user name, cut to the length that messages and logs show."""
    return username if len(username) <= MAX_SHOWN_NAME else f"{username[:MAX_SHOWN_NAME]}..."
