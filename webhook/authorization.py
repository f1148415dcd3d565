"""Whose rights count for a review, and what they lack. `admission.py` asks here before it looks at anything else."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from configmapsync.names import NamespacedName
from configmapsync.permissions import (
    Denial,
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
from kube.access import ENOUGH_REFUSALS, AccessReviews
from kube.connection import Connection
from kube.service_accounts import ServiceAccounts
from webhook.review import User

REMEMBERED_FOR_SECONDS = 5.0

# Characters of a user name in messages and logs; an identity provider sets no limit of its own.
LONGEST_SHOWN_NAME = 128


@dataclass(frozen=True, slots=True)
class Requester:
    """The user who sent a request, and the bound on the questions that are asked for this user at once."""

    user: User
    slots: asyncio.Semaphore


class Authorizer:
    """Asks the API server for the rights behind a request; `now` is the event loop's clock."""

    def __init__(
        self, connection: Connection, now: Callable[[], float], on_answer: Callable[[bool], None]
    ) -> None:
        self._reviews: AccessReviews[Right] = AccessReviews(
            connection, now, on_answer, REMEMBERED_FOR_SECONDS
        )
        self._accounts = ServiceAccounts(connection, now, REMEMBERED_FOR_SECONDS)

    async def denials(
        self, requester: Requester, sync: ConfigMapSync, needs: Sequence[Need]
    ) -> list[Denial]:
        """Return what the user, or the service account that the sync names, may not do.

        A named account is checked first: whether the user may act as it, then whether it exists. The rights follow only after
        both. The answer holds one sentence for each field and namespace, and ends at the first refusals.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        account = account_of(sync)
        if account is not None and (denial := await self._account_denial(requester, account)):
            return [denial]
        subject = subject_of(sync, requester.user)
        rights = (right for need in needs for right in need.rights)
        answers = await self._reviews.check(subject, rights, requester.slots)
        denials = denials_of(subject, needs, answers.refused)
        if not answers.complete:
            denials.append(Denial("spec", _ended_early(subject)))
        return denials

    async def may(self, requester: Requester, rights: Iterable[Right]) -> set[Right]:
        """Return those of `rights` that the user has.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        return await self._reviews.may(of_user(requester.user), rights, requester.slots)

    async def _account_denial(self, requester: Requester, account: NamespacedName) -> Denial | None:
        user = of_user(requester.user)
        itself = user.username == of_service_account(*account).username
        if not itself and not await self._reviews.may(
            user, rights_to_act_as(account), requester.slots
        ):
            return acting_denial(user, account)
        return None if await self._accounts.exists(*account) else missing_account_denial(account)


def subject_of(sync: ConfigMapSync, user: User) -> Subject:
    """Return whose rights count: those of the named service account where there is one, else those of the user."""
    account = account_of(sync)
    return of_service_account(*account) if account else of_user(user)


def of_user(user: User) -> Subject:
    """Return the user as the API server sent them: groups, uid and extra count for its authorizers."""
    extra = tuple(sorted(user.extra.items()))
    return Subject(
        f'user "{shortened(user.username)}"', user.username, user.uid, user.groups, extra
    )


def shortened(username: str) -> str:
    """Return a user name as messages and logs show it."""
    return (
        username if len(username) <= LONGEST_SHOWN_NAME else f"{username[:LONGEST_SHOWN_NAME]}..."
    )


def _ended_early(subject: Subject) -> str:
    return f"the check of what {subject.title} may do ended after {ENOUGH_REFUSALS} refusals; more rights may be missing"
