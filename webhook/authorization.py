"""Whose rights count for a review, and what they lack. `admission.py` asks here before it looks at anything else."""

from collections.abc import Callable, Iterable, Sequence

from configmapsync.resource import ConfigMapSync
from configmapsync.rights import Denial, Need, Right, Subject, denials_of, of_service_account
from kube.access import AccessReviews
from kube.connection import Connection
from webhook.review import User

REMEMBERED_FOR_SECONDS = 5.0


class Authorizer:
    """Judges requests by what the API server says of rights; `now` is the event loop's clock."""

    def __init__(self, connection: Connection, now: Callable[[], float], on_answer: Callable[[bool], None]) -> None:
        self._reviews: AccessReviews[Right] = AccessReviews(connection, now, on_answer, REMEMBERED_FOR_SECONDS)

    async def denials(self, subject: Subject, sync: ConfigMapSync, needs: Sequence[Need]) -> list[Denial]:
        """Return what `subject` may not do, one sentence for each field and namespace.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        held = await self._reviews.may_broadly(subject, (right for need in needs for right in need.rights))
        return denials_of(subject, sync, needs, held)

    async def may(self, subject: Subject, rights: Iterable[Right]) -> set[Right]:
        """Return those of `rights` that `subject` has.

        Raises:
            ApiError: the API server refused to answer, or did not in time.
        """
        return await self._reviews.may(subject, rights)


def subject_of(sync: ConfigMapSync, user: User) -> Subject:
    """Return who is judged: the named service account where there is one, else the user who sent the request."""
    account = sync.spec.service_account_name
    return of_service_account(sync.metadata.namespace, account) if account else of_user(user)


def of_user(user: User) -> Subject:
    """Return the user as the API server sent them: groups, uid and extra count for its authorizers."""
    extra = tuple(sorted(user.extra.items()))
    return Subject(f'user "{user.username}"', user.username, user.uid, user.groups, extra)
