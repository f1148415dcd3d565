"""The objects of files, laid over what is there: as if they had been applied."""

from typing import Any

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.names import NamespacedName
from dryrun.simulated_cluster import Document, SimulatedCluster
from dryrun.simulator import Simulator
from kube.client import CONFIGMAPS, NAMESPACES, Client, Kind
from kube.errors import NotFound
from kube.wire import decode_object

NAME_LABEL = "kubernetes.io/metadata.name"  # the API server puts it on every namespace
DEFAULT_NAMESPACE = "default"
SERVERS_OWN = ("uid", "creationTimestamp", "deletionTimestamp", "finalizers", "generation")


async def apply_files(
    simulator: Simulator, draft: SimulatedCluster, documents: list[Document]
) -> list[NamespacedName]:
    """Apply documents to the draft; returns the syncs among them.

    Where an object lives, its namespace is taken to be there: nothing could be applied to it otherwise. No other namespace is assumed.

    Raises:
        ApiError: the API server did not say what is there now.
    """
    syncs: dict[NamespacedName, None] = {}
    for document in sorted(documents, key=lambda document: document["kind"] != "Namespace"):
        if document["kind"] == "Namespace":
            await _put_namespace(simulator, draft, document)
            continue
        place = NamespacedName(
            document["metadata"].get("namespace") or DEFAULT_NAMESPACE, document["metadata"]["name"]
        )
        if place.namespace not in simulator.caches.namespaces_by_name:
            await _put_namespace(simulator, draft, {"metadata": {"name": place.namespace}})
        placed = {**document, "metadata": {**document["metadata"], **place._asdict()}}
        if document["kind"] == "ConfigMap":
            simulator.put(place, _applied(placed, await _live(draft, CONFIGMAPS, *place)))
        else:
            simulator.put_sync(_applied(placed, await _live(draft, CONFIGMAPSYNCS, *place)))
            syncs[place] = None
    return list(syncs)


async def _put_namespace(simulator: Simulator, draft: SimulatedCluster, document: Document) -> None:
    name = document["metadata"]["name"]
    applied = _applied(document, await _live(draft, NAMESPACES, "", name))
    labels = {**(applied["metadata"].get("labels") or {}), NAME_LABEL: name}
    simulator.put_namespace({**applied, "metadata": {**applied["metadata"], "labels": labels}})


async def _live(draft: SimulatedCluster, kind: Kind, namespace: str, name: str) -> Document:
    try:
        answer = await Client(draft).get(kind, namespace, name)
    except NotFound:
        return {"metadata": {}}
    return decode_object(answer, kind.path(namespace, name))


def _applied(document: Document, live: Document) -> Document:
    """As `kubectl apply` leaves it: what the document says, over what is there, but for what is the API server's own."""
    said, there = document["metadata"], live["metadata"]
    metadata: dict[str, Any] = {**there, **said}
    metadata |= {field: there[field] for field in SERVERS_OWN if field in there}
    for part in ("labels", "annotations"):
        metadata[part] = {**(there.get(part) or {}), **(said.get(part) or {})}
    status = {"status": live["status"]} if "status" in live else {}
    return {**live, **document, **status, "metadata": metadata}
