"""The live reads of one review are bounded for every spec."""

import asyncio
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from configmapsync.admission_checks import AdmissionInput, Snapshot
from configmapsync.defaulting import with_defaults
from configmapsync.destination_paths import destination_paths
from configmapsync.names import NamespacedName
from configmapsync.parsing import parse
from configmapsync.selection import Selector
from kube.client import METADATA
from kube.errors import ApiError, Malformed, NotFound
from kube.wire import event_of
from webhook.admission_review import User
from webhook.authorization import Authorizer, Requester, of_user
from webhook.cluster_state import ENOUGH_MISSING, PARALLEL_NAMESPACE_READS, ClusterState
from webhook.settings import AuthorizationMode


class ApiServer:
    """Has some namespaces and nothing else, and keeps what was read."""

    def __init__(self, *namespaces: str) -> None:
        self.namespaces = set(namespaces)
        self.read: list[str] = []
        self.answer: bytes | None = None
        self.content_read: list[str] = []

    async def request(
        self, method: str, path: str, accept: str = "application/json", **_options: Any
    ) -> bytes:
        if method == "POST":
            return b'{"status": {"allowed": true}}'
        self.read.append(path)
        if accept != METADATA:
            self.content_read.append(path)
        name = path.rpartition("/")[2]
        if "configmaps" in path or name not in self.namespaces:
            raise NotFound("not found", status=404)
        return self.answer or f'{{"metadata": {{"name": "{name}"}}}}'.encode()


def sync_input(*namespaces: str, **fields: Any) -> AdmissionInput:
    spec = {"configMapName": "cfg", "destinationNamespaces": list(namespaces), **fields}
    sync = with_defaults(parse({"metadata": {"namespace": "team", "name": "s"}, "spec": spec}))
    selector = Selector.of(sync, frozenset())
    return AdmissionInput(sync, selector, destination_paths(sync, selector), None)


async def snapshot(
    server: ApiServer, of: AdmissionInput, mode: AuthorizationMode = AuthorizationMode.ENFORCE
) -> Snapshot:
    state = ClusterState(server, frozenset(), random.Random(1))  # type: ignore[arg-type]  # noqa: S311 - jitter
    authorizer = Authorizer(server, lambda: 0.0, lambda _: None, mode)  # type: ignore[arg-type]
    return await state.snapshot(
        of, authorizer, Requester(of_user(User("alice")), asyncio.Semaphore(8))
    )


async def test_hundreds_of_missing_namespaces_cost_few_reads() -> None:
    server = ApiServer("team")
    found = await snapshot(server, sync_input(*(f"n-{n}" for n in range(512))))
    namespaces = [path for path in server.read if "configmaps" not in path]
    assert ENOUGH_MISSING <= len(namespaces) <= ENOUGH_MISSING + PARALLEL_NAMESPACE_READS + 1
    assert set(found.namespaces) == {"team"}


async def test_every_namespace_that_was_created_a_moment_ago_is_found() -> None:
    names = [f"n-{number}" for number in range(100)]
    found = await snapshot(ApiServer("team", *names), sync_input(*names))
    assert set(found.namespaces) == {"team", *names}


@pytest.mark.parametrize(
    "answer",
    [b" ", b"[]", b'{"metadata": 7}', b"\xff", b"[" * 100_000],
    ids=lambda text: str(text[:9]),
)
async def test_an_answer_that_cannot_be_read_is_an_error_of_the_api_server(answer: bytes) -> None:
    server = ApiServer("team")
    server.answer = answer
    with pytest.raises(ApiError) as raised:
        await snapshot(server, sync_input("team"))
    assert isinstance(raised.value, Malformed)


@pytest.mark.parametrize(
    ("mode", "reads"),
    [
        (AuthorizationMode.ENFORCE, True),
        (AuthorizationMode.WARN, False),
        (AuthorizationMode.OFF, False),
    ],
    ids=str,
)
async def test_the_keys_of_the_source_are_read_only_if_the_right_to_get_it_was_verified(
    mode: AuthorizationMode, reads: bool
):
    server = ApiServer("team")
    await snapshot(server, sync_input("team", keys=[{"key": "a"}]), mode)
    assert ("/api/v1/namespaces/team/configmaps/cfg" in server.content_read) is reads


def changes(state: ClusterState) -> Callable[[str, dict[str, Any]], None]:
    informer = state.informers["configmapsyncs"]

    def change(kind: str, document: dict[str, Any]) -> None:
        informer.changed(event_of(kind, msgspec.Raw(json.dumps(document).encode())))

    return change


def stored(version: int, **parts: Any) -> dict[str, Any]:
    spec = {"configMapName": "cfg", "sourceNamespace": "a", "destinationNamespace": "b"}
    metadata = {"namespace": "team", "name": "s", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata | parts.pop("metadata", {}), "spec": spec, **parts}


async def test_a_status_changes_nothing_in_the_graph_and_an_edit_or_a_deletion_does():
    state = ClusterState(ApiServer(), frozenset(), random.Random(1))  # type: ignore[arg-type]  # noqa: S311 - jitter
    change, key = changes(state), NamespacedName("team", "s")

    change("ADDED", stored(1))
    node = state._graph.nodes[key]
    change("MODIFIED", stored(2, status={"summary": "1/1"}))
    assert state._graph.nodes[key] is node

    change("MODIFIED", stored(3, spec={"configMapName": "cfg", "destinationNamespace": "c"}))
    assert state._graph.nodes[key].source == NamespacedName("team", "cfg")

    change("MODIFIED", stored(4, spec={"configMapName": []}))
    assert key not in state._graph.nodes

    change("MODIFIED", stored(5))
    assert key in state._graph.nodes
    change("MODIFIED", stored(6, metadata={"deletionTimestamp": "2026-11-23T04:20:25Z"}))
    assert key not in state._graph.nodes
    change("DELETED", stored(7))
    change("ADDED", stored(8, metadata={"uid": "u2"}))
    assert key in state._graph.nodes
