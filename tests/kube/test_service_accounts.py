"""Whether a service account exists is read, seldom, and never believed for too long."""

import asyncio
import json
from typing import Any

import pytest

from configmapsync.permissions import Right
from kube.access import AccessReviews
from kube.client import Client
from kube.errors import Forbidden, Malformed, NotFound

pytestmark = pytest.mark.looptime(start=0)
REMEMBERED_FOR = 10.0


class ApiServer:
    """Holds service accounts by path."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Exception] = {}
        self.read: list[str] = []

    async def request(self, method: str, path: str, **_options: Any) -> bytes:
        assert method == "GET"
        self.read.append(path)
        answer = self.answers.get(path, NotFound("not found", status=404))
        if isinstance(answer, Exception):
            raise answer
        return answer


PATH = "/api/v1/namespaces/team/serviceaccounts/robot"


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def accounts(server: ApiServer) -> AccessReviews[Right]:
    return AccessReviews(
        Client(server),  # type: ignore[arg-type]
        asyncio.get_running_loop().time,
        lambda _allowed: None,
        REMEMBERED_FOR,
    )


def account(**metadata: str) -> bytes:
    return json.dumps({"metadata": {"name": "robot", **metadata}}).encode()


async def test_an_account_that_exists_is_read_once_within_the_time(
    server: ApiServer, accounts: AccessReviews[Right]
) -> None:
    server.answers[PATH] = account()
    for _ in range(3):
        assert await accounts.account_exists("team", "robot")
    assert server.read == [PATH]

    del server.answers[PATH]
    await asyncio.sleep(REMEMBERED_FOR)
    assert not await accounts.account_exists("team", "robot")


async def test_that_an_account_is_missing_is_not_remembered(
    server: ApiServer, accounts: AccessReviews[Right]
) -> None:
    assert not await accounts.account_exists("team", "robot")
    server.answers[PATH] = account()
    assert await accounts.account_exists("team", "robot")


async def test_an_account_that_is_being_deleted_counts_as_missing(
    server: ApiServer, accounts: AccessReviews[Right]
) -> None:
    server.answers[PATH] = account(deletionTimestamp="2026-01-01T00:00:00Z")
    assert not await accounts.account_exists("team", "robot")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"metadata": 7}', b"\xff", b"[" * 100_000],
    ids=lambda body: str(body[:9]),
)
async def test_an_answer_that_cannot_be_read_is_an_error_of_the_api_server(
    server: ApiServer, accounts: AccessReviews[Right], body: bytes
) -> None:
    server.answers[PATH] = body
    with pytest.raises(Malformed):
        await accounts.account_exists("team", "robot")


async def test_a_refusal_is_passed_on(server: ApiServer, accounts: AccessReviews[Right]) -> None:
    server.answers[PATH] = Forbidden("not you", status=403)
    with pytest.raises(Forbidden):
        await accounts.account_exists("team", "robot")
