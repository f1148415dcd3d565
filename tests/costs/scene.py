"""Run a reconciler on a cluster in memory in virtual time, and count what it costs.

`test_requests.py` has the stories. Nothing here depends on the speed of the machine:
a story costs the same requests, plans, decodes and status writes in every run.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib import import_module
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from configmapsync.names import API_VERSION, FINALIZER, KIND, PLURAL
from kube.connection import Connection
from reconciler.app import App
from reconciler.settings import ReconcilerSettings
from tests.costs.counted_connection import CountedConnection, Delays
from tests.randomized.cluster import NAMESPACES, SYNCS, InMemoryCluster, encoded

HOME = "home"
# A status waits up to five seconds for copies, and an event for its correlator.
QUIET_SECONDS = 8.0
STORY_SECONDS = 70.0  # less than the idle limit of a watch
# What is counted beside requests, by the function that does it.
CALLS = {
    "plans": "configmapsync.planning.plan",
    "statuses": "configmapsync.conditions.status",
    "digests": "configmapsync.content.digest",
    "copies decoded": "reconciler.known.configmaps.read_copy",
    "sources decoded": "reconciler.known.configmaps.read_source",
    "events read": "kube.wire.read_event",
    "objects of events found": "kube.wire.decode_event",
    "versions decoded": "reconciler.known.configmaps.read_identity",
    "syncs decoded": "cluster.syncs._decode",
    "specs parsed": "configmapsync.parsing.parse",
    "selections": "configmapsync.selection.Selector.matches",
    "labels compared": "configmapsync.selection.Labels.match",
    "wakes": "kube.workqueue.WorkQueue.add",
}


@dataclass
class Costs:
    """What a story has cost: requests by verb and resource, and calls of `CALLS`."""

    requests: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)

    def __sub__(self, before: "Costs") -> "Costs":
        return Costs(self.requests - before.requests, self.calls - before.calls)

    @property
    def writes(self) -> int:
        """Return the number of requests that change an object."""
        return sum(
            number
            for name, number in self.requests.items()
            if name.split()[0] not in {"get", "list", "watch"}
        )

    def check(self, requests: Mapping[str, int], **calls: int) -> None:
        """Fail if the story cost more than this, or a request that is not listed.

        Args:
            requests: the most of each kind, `0` for one that must not be sent.
            calls: the most calls of each kind, named as in `CALLS` with `_` for a space.
        """
        most = Counter(requests)
        most.update({name.replace("_", " "): number for name, number in calls.items()})
        spent = self.requests + Counter({name: self.calls[name] for name in most})
        excess = {name: number for name, number in spent.items() if number > most[name]}
        assert not excess, f"cost more than {dict(most)}: {excess}"


def count_calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the calls of every function of `CALLS`, by whatever name a module has imported it."""
    calls: Counter[str] = Counter()
    for label, path in CALLS.items():
        _count(monkeypatch, calls, label, path)
    return calls


def _count(monkeypatch: pytest.MonkeyPatch, calls: Counter[str], label: str, path: str) -> None:
    holder, _, name = path.rpartition(".")
    if holder.rpartition(".")[2][0].isupper():
        module, _, owner = holder.rpartition(".")
        target: Any = getattr(import_module(module), owner)
    else:
        target = import_module(holder)
    original = getattr(target, name)

    @wraps(original)
    def counted(*arguments: Any, **named: Any) -> Any:
        calls[label] += 1
        return original(*arguments, **named)

    monkeypatch.setattr(target, name, counted)
    for module in list(sys.modules.values()):
        if vars(module).get(name) is original:
            monkeypatch.setattr(module, name, counted)


class Scene:
    """A cluster, its users, and at most one reconciler."""

    def __init__(self, calls: Counter[str], delays: Delays) -> None:
        """Create an empty cluster; `calls` is what `count_calls` returned."""
        self._calls = calls
        self._clock = asyncio.get_running_loop().time
        self.cluster = InMemoryCluster(self._clock)
        self.connection = CountedConnection(self.cluster, delays)

    async def begin(self, namespaces: Iterable[str]) -> None:
        """Install the CRD, and create the namespace of the sources and others."""
        await self.cluster.begin({name: {} for name in (HOME, *namespaces)})

    @asynccontextmanager
    async def reconciler(self) -> AsyncIterator[None]:
        """Run a reconciler, and stop it with SIGTERM's way at the end."""
        app = App(
            ReconcilerSettings(health_address="127.0.0.1:0"),
            cast("Connection", self.connection),
            None,
            CollectorRegistry(),
            self.cluster.now,
            random.Random(1),  # noqa: S311 - jitter
        )
        stop = asyncio.Event()
        running = asyncio.create_task(app.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def add_namespace(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a namespace."""
        document = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": dict(labels)},
        }
        await self._send("POST", "/api/v1/namespaces", document)

    async def add_source(self, name: str = "config", **data: str) -> None:
        """Create a source in the home namespace."""
        document = {"metadata": {"name": name, "namespace": HOME}, "data": data or {"key": "1"}}
        await self._send("POST", _configmaps(HOME), _configmap(document))

    async def add_sync(self, name: str = "config", **spec: Any) -> None:
        """Create a sync, with the finalizer that the webhook adds."""
        document = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": HOME, "finalizers": [FINALIZER]},
            "spec": {"configMapName": name, **spec},
        }
        await self._send("POST", f"/apis/{API_VERSION}/namespaces/{HOME}/{PLURAL}", document)

    async def patch(self, namespace: str, name: str = "config", **change: Any) -> None:
        """Merge a change into a ConfigMap."""
        path = f"{_configmaps(namespace)}/{name}"
        await self._send("PATCH", path, change, "application/merge-patch+json")

    async def edit_sync(self, name: str = "config", **change: Any) -> None:
        """Merge a change into a sync."""
        path = f"/apis/{API_VERSION}/namespaces/{HOME}/{PLURAL}/{name}"
        await self._send("PATCH", path, change, "application/merge-patch+json")

    async def remove(self, namespace: str, name: str = "config") -> None:
        """Delete a ConfigMap."""
        await self.cluster.call("DELETE", f"{_configmaps(namespace)}/{name}")

    def summaries(self) -> set[str]:
        """Return the summary of every status, `-` for a sync without one."""
        syncs = self.cluster.all(SYNCS)
        return {sync.get("status", {}).get("summary", "-") for sync in syncs}

    def namespaces(self) -> list[str]:
        """Return the names of all namespaces but the home one."""
        names = [item["metadata"]["name"] for item in self.cluster.all(NAMESPACES)]
        return [name for name in names if name != HOME]

    async def settle(self) -> None:
        """Let time pass until the reconciler sends nothing for `QUIET_SECONDS`."""
        end = self._clock() + STORY_SECONDS
        before = -1
        while before != (before := self.connection.requests.total()):
            assert self._clock() < end, "the reconciler does not become quiet"
            await asyncio.sleep(QUIET_SECONDS)

    @contextmanager
    def story(self) -> Iterator[Costs]:
        """Count what the block costs; the value is complete at the end of the block."""
        before, costs = self._counted(), Costs()
        yield costs
        spent = self._counted() - before
        costs.requests, costs.calls = spent.requests, spent.calls

    @asynccontextmanager
    async def running_story(self) -> AsyncIterator[Costs]:
        """Count what the block costs a reconciler that is idle before it and after it."""
        async with self.reconciler():
            await self.settle()
            with self.story() as costs:
                yield costs
                await self.settle()

    def _counted(self) -> Costs:
        return Costs(self.connection.requests.copy(), self._calls.copy())

    async def _send(
        self, method: str, path: str, document: object, content_type: str = "application/json"
    ) -> None:
        body = encoded(cast("Mapping[str, Any]", document))
        await self.cluster.call(method, path, body=body, content_type=content_type)


def _configmaps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def _configmap(parts: Mapping[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", **parts}
