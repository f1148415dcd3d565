"""Run the controllers. Events and failures requeue a work item."""

import asyncio
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

import structlog

from devcluster.controllers.actor import Actor
from devcluster.controllers.cluster_roles import ClusterRoles
from devcluster.controllers.contents import NamespaceContents
from devcluster.controllers.definitions import Definitions
from devcluster.controllers.namespaces import Namespaces
from devcluster.controllers.owners import Owners
from devcluster.errors import ApiStatus
from devcluster.schema.catalog import Catalog
from devcluster.storage.registry import Registry
from devcluster.storage.store import Event, Store

RETRY_SECONDS = 1.0  # a webhook that refuses may be asked again soon: this is a cluster for tests


class Controller(Protocol):
    """One thing that a cluster keeps right."""

    def begin(self) -> Iterable[Hashable]:
        """Name everything there may be to do at the start."""

    def wakes(self, event: Event) -> Iterable[Hashable]:
        """Name what an event may have made wrong."""

    async def settle(self, item: Hashable) -> None:
        """Look, and make it right; may be called any number of times."""


class Controllers:
    """All controllers of one cluster."""

    def __init__(self, store: Store, catalog: Catalog, registry: Registry, authority: str) -> None:
        def actor(name: str) -> Actor:
            return Actor(name, store, catalog, registry)

        self._store = store
        self._controllers: Sequence[Controller] = (
            Namespaces(actor("namespace-controller")),
            NamespaceContents(actor("root-ca-cert-publisher"), authority),
            Definitions(actor("customresourcedefinition-controller")),
            Owners(actor("generic-garbage-collector")),
            ClusterRoles(actor("clusterrole-aggregation-controller")),
        )
        self._at_work: dict[tuple[Controller, Hashable], asyncio.Task[None]] = {}
        self._again: set[tuple[Controller, Hashable]] = set()

    async def run(self) -> None:
        """Keep the cluster right until cancelled."""
        unsubscribe = self._store.subscribe(self._follow)
        try:
            for controller in self._controllers:
                for item in controller.begin():
                    self._wake(controller, item)
            await asyncio.Event().wait()
        finally:
            unsubscribe()
            for task in self._at_work.values():
                task.cancel()
            await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    def _follow(self, event: Event) -> None:
        for controller in self._controllers:
            for item in controller.wakes(event):
                self._wake(controller, item)

    def _wake(self, controller: Controller, item: Hashable) -> None:
        work = (controller, item)
        if work in self._at_work:
            self._again.add(work)
        else:
            self._at_work[work] = asyncio.create_task(self._settle(controller, item))

    async def _settle(self, controller: Controller, item: Hashable) -> None:
        work = (controller, item)
        try:
            settled = False
            while not settled or work in self._again:
                self._again.discard(work)
                settled = await _tried(controller, item)
        finally:
            del self._at_work[work]


async def _tried(controller: Controller, item: Hashable) -> bool:
    """Settle one item; a failure waits before it may be tried again."""
    try:
        await controller.settle(item)
    except ApiStatus as refusal:
        if refusal.code == 404:
            return True  # the object is gone; its event wakes the controllers that need it
        await asyncio.sleep(0 if refusal.code == 409 else RETRY_SECONDS)
        return False
    except Exception:  # noqa: BLE001 - the outermost guard: one object that surprises a controller must not stop the others
        structlog.get_logger("devcluster").exception(
            "a controller failed unexpectedly", item=str(item)
        )
    return True
