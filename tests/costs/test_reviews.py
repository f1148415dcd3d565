"""A review costs the same however many namespaces and syncs the cluster has."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import msgspec
import pytest

from configmapsync.names import GROUP, PLURAL
from kube.client import Client
from kube.errors import NotFound
from kube.wire import event_of
from webhook.admission import Admission
from webhook.admission_review import parse
from webhook.authorization import Authorizer
from webhook.cluster_state import MAX_BLOCKER_READS, ClusterState

NAMESPACES = 2_000
SOURCE_READS = 1
RIGHTS = 4  # get the source; create, update and delete the copies: each in all namespaces
FIRST_NAMESPACES = 32  # compared for the destinations, and again for the warnings


class ApiServer:
    """Has no ConfigMap, allows everything, and counts the requests."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()

    async def request(self, method: str, _path: str, **_options: Any) -> bytes:
        self.requests[method] += 1
        if method == "POST":
            return b'{"status": {"allowed": true}}'
        raise NotFound("not found", status=404)


def document(spec: dict[str, Any], version: int = 1, **parts: Any) -> dict[str, Any]:
    metadata = {"namespace": "team-1", "name": "s", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"configMapName": "cfg", **spec}, **parts}


def review(spec: dict[str, Any]) -> bytes:
    request = {
        "uid": "1",
        "operation": "CREATE",
        "resource": {"group": GROUP, "version": "v1", "resource": PLURAL},
        "namespace": "team-1",
        "name": "s",
        "userInfo": {"username": "alice"},
        "object": document(spec),
    }
    return json.dumps(
        {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    ).encode()


class Webhook:
    """The parts of a webhook that check reviews, in a cluster of many namespaces."""

    def __init__(self) -> None:
        self.server = ApiServer()
        connection: Any = self.server
        self.state = ClusterState(connection, frozenset(), random.Random(1))  # noqa: S311 - jitter
        authorizer = Authorizer(Client(connection), lambda: 0.0, lambda _: None)
        self.admission = Admission(self.state, authorizer)
        for number in range(NAMESPACES):
            labels = {"stage": "live"}
            metadata = {"name": f"team-{number}", "resourceVersion": "1", "labels": labels}
            self.changed("namespaces", {"metadata": metadata})

    def changed(self, collection: str, item: dict[str, Any]) -> None:
        """Bring an event of a watch."""
        event = event_of("MODIFIED", msgspec.Raw(json.dumps(item).encode()))
        self.state.informers[collection].changed(event)

    async def check(self, spec: dict[str, Any]) -> int:
        """Check a new sync, which must be allowed; return how many tasks that started."""
        tasks = 0

        def start(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **how: Any):
            nonlocal tasks
            tasks += 1
            return asyncio.Task(work, loop=loop, **how)

        loop = asyncio.get_running_loop()
        loop.set_task_factory(start)
        try:
            answer = await self.admission.validate(parse(review(spec)))
        finally:
            loop.set_task_factory(None)
        assert json.loads(answer.body)["response"]["allowed"]
        return tasks


OPEN_ENDED = [
    pytest.param({"destinationNamespaces": ["team-*"]}, id="prefix"),
    pytest.param({"destinationNamespaces": ["t*m-*"]}, id="general glob"),
    pytest.param({"destinationNamespaceSelector": {}}, id="all labels"),
    pytest.param({"destinationNamespaceSelector": {"matchLabels": {"stage": "live"}}}, id="label"),
]


@pytest.mark.parametrize("spec", OPEN_ENDED)
async def test_a_review_compares_few_of_many_namespaces(
    calls: Counter[str], spec: dict[str, Any]
) -> None:
    webhook = Webhook()
    calls.clear()
    await webhook.check(spec)
    assert webhook.server.requests == {"GET": SOURCE_READS + MAX_BLOCKER_READS, "POST": RIGHTS}
    assert calls["labels compared"] <= 2 * FIRST_NAMESPACES
    assert calls["specs parsed"] == 1


async def test_a_review_with_known_rights_starts_a_task_only_for_what_it_reads() -> None:
    webhook, spec = Webhook(), {"destinationNamespaces": [f"team-{n}" for n in range(2, 6)]}
    first = await webhook.check(spec)
    webhook.server.requests.clear()
    second = await webhook.check(spec)
    assert webhook.server.requests == {"GET": SOURCE_READS + 4}
    assert second == first - RIGHTS
    assert second <= 3 + 4


async def test_a_new_status_does_not_have_the_spec_parsed_again(calls: Counter[str]) -> None:
    webhook, spec = Webhook(), {"destinationNamespace": "team-2"}
    webhook.changed("configmapsyncs", document(spec))
    calls.clear()
    webhook.changed("configmapsyncs", document(spec, version=2, status={"summary": "1/1"}))
    assert (calls["syncs decoded"], calls["specs parsed"]) == (1, 0)
