"""The rights of a service account are checked seldom and in bounded numbers.

An account that does not exist has no rights.
"""

import asyncio
import json
from typing import Any

import pytest

from configmapsync.defaulting import with_defaults
from configmapsync.parsing import parse
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.access import MAX_IN_FLIGHT
from kube.client import Client
from kube.errors import NotFound
from reconciler.known.service_accounts import Authorization

pytestmark = pytest.mark.looptime(start=0)
INTERVAL_SECONDS = 60.0


class ApiServer:
    """Answers access reviews by a set of namespaces, and counts the reviews in flight."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()
        self.exists = True
        self.asked = 0
        self.under_way: dict[str, int] = {}
        self.most: dict[str, int] = {}

    async def request(
        self, method: str, _path: str, *, body: bytes = b"", **_options: Any
    ) -> bytes:
        if method == "GET":
            if not self.exists:
                raise NotFound("no such account", status=404)
            return b'{"metadata": {"name": "robot"}}'
        spec = json.loads(body)["spec"]
        user = spec["user"]
        self.asked += 1
        self.under_way[user] = self.under_way.get(user, 0) + 1
        self.most[user] = max(self.most.get(user, 0), self.under_way[user])
        await asyncio.sleep(0.01)
        self.under_way[user] -= 1
        return json.dumps(
            {"status": {"allowed": spec["resourceAttributes"]["namespace"] in self.allowed}}
        ).encode()


def sync(namespaces: int, name: str = "s", account: str | None = "robot") -> ConfigMapSync:
    names = [f"n-{number:03}" for number in range(namespaces)]
    spec = {"configMapName": "cfg", "destinationNamespaces": names, "serviceAccountName": account}
    return with_defaults(parse({"metadata": {"namespace": "team", "name": name}, "spec": spec}))


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def authorization(server: ApiServer) -> Authorization:
    return Authorization(Client(server), asyncio.get_running_loop().time, INTERVAL_SECONDS)  # type: ignore[arg-type]


async def denial(authorization: Authorization, one: ConfigMapSync) -> str | None:
    return await authorization.denial(one, Selector.of(one, frozenset()))


async def test_a_sync_without_an_account_is_not_asked_for(
    server: ApiServer, authorization: Authorization
) -> None:
    assert await denial(authorization, sync(3, account=None)) is None
    assert server.asked == 0


async def test_an_account_that_is_gone_has_no_rights(
    server: ApiServer, authorization: Authorization
) -> None:
    server.allowed.add("")
    server.exists = False
    assert (
        await denial(authorization, sync(3))
        == 'service account "team/robot" does not exist, and so has no rights'
    )


async def test_a_deleted_account_is_noticed_within_the_interval(
    server: ApiServer, authorization: Authorization
) -> None:
    server.allowed.add("")
    assert await denial(authorization, sync(3)) is None
    server.exists = False
    await asyncio.sleep(INTERVAL_SECONDS / 2)
    assert await denial(authorization, sync(3)) is not None


async def test_an_account_without_rights_costs_few_questions(
    server: ApiServer, authorization: Authorization
) -> None:
    message = await denial(authorization, sync(512))
    assert message is not None
    assert len(message) < 4096
    assert server.asked <= 20


async def test_an_account_with_rights_everywhere_costs_few_questions(
    server: ApiServer, authorization: Authorization
) -> None:
    server.allowed.add("")
    assert await denial(authorization, sync(512)) is None
    assert server.asked == 4


async def test_the_syncs_of_one_namespace_share_the_questions_under_way(
    server: ApiServer, authorization: Authorization
) -> None:
    server.allowed = {f"n-{number:03}" for number in range(100)} | {"team"}
    syncs = [sync(100, f"s-{number}") for number in range(5)]
    found = await asyncio.gather(*(denial(authorization, one) for one in syncs))
    assert found == [None] * 5
    assert set(server.most.values()) == {MAX_IN_FLIGHT}
