"""What one review may read of the cluster is bounded, whatever its spec names."""

import random
from collections.abc import Iterable
from typing import Any

import pytest

from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import targets_of
from configmapsync.permissions import Right
from configmapsync.resource import parse
from configmapsync.selection import Selector
from kube.errors import ApiError, Malformed, NotFound
from webhook.admit import AdmissionInput
from webhook.cluster_state import CONFIRMED_AT_ONCE, ENOUGH_MISSING, ClusterState


class ApiServer:
    """Has some namespaces and nothing else, and keeps what was read."""

    def __init__(self, *namespaces: str) -> None:
        self.namespaces = set(namespaces)
        self.read: list[str] = []
        self.answer: bytes | None = None

    async def request(self, _method: str, path: str, **_options: Any) -> bytes:
        self.read.append(path)
        name = path.rpartition("/")[2]
        if "configmaps" in path or name not in self.namespaces:
            raise NotFound("not found", status=404)
        return self.answer or f'{{"metadata": {{"name": "{name}"}}}}'.encode()


async def everything(rights: Iterable[Right]) -> frozenset[Right]:
    return frozenset(rights)


def sync_input(*namespaces: str) -> AdmissionInput:
    spec = {"configMapName": "cfg", "destinationNamespaces": list(namespaces)}
    sync = with_defaults(parse({"metadata": {"namespace": "team", "name": "s"}, "spec": spec}))
    return AdmissionInput(sync, targets_of(sync, Selector.of(sync, frozenset())), None)


def world(server: ApiServer) -> ClusterState:
    return ClusterState(server, frozenset(), random.Random(1))  # type: ignore[arg-type]  # noqa: S311 - jitter


async def test_hundreds_of_missing_namespaces_cost_few_reads() -> None:
    server = ApiServer("team")
    view = await world(server).view(
        sync_input(*(f"n-{n}" for n in range(512))), everything, may_read_source=False
    )
    namespaces = [path for path in server.read if "configmaps" not in path]
    assert ENOUGH_MISSING <= len(namespaces) <= ENOUGH_MISSING + CONFIRMED_AT_ONCE + 1
    assert set(view.namespaces) == {"team"}


async def test_every_namespace_that_was_created_a_moment_ago_is_found() -> None:
    names = [f"n-{number}" for number in range(100)]
    view = await world(ApiServer("team", *names)).view(
        sync_input(*names), everything, may_read_source=False
    )
    assert set(view.namespaces) == {"team", *names}


@pytest.mark.parametrize(
    "answer",
    [b" ", b"[]", b'{"metadata": 7}', b"\xff", b"[" * 100_000],
    ids=lambda text: str(text[:9]),
)
async def test_an_answer_that_cannot_be_read_is_an_error_of_the_api_server(answer: bytes) -> None:
    server = ApiServer("team")
    server.answer = answer
    with pytest.raises(ApiError) as raised:
        await world(server).view(sync_input("team"), everything, may_read_source=False)
    assert isinstance(raised.value, Malformed)
