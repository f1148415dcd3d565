"""Read syncs, ConfigMaps and namespaces from YAML and JSON files, and apply them.

`command.py` calls it, and the `import` command of the plugin for its reading. A plan
skips objects of other kinds. An error message must not quote the content of a file,
because it may hold secrets.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from cluster.namespaces import read_namespace
from cluster.syncs import CONFIGMAPSYNCS, read_sync
from configmapsync.names import API_VERSION, KIND, NamespacedName
from dryrun.simulated_cluster import Document, SimulatedCluster
from dryrun.simulator import Simulator
from dryrun.texts import UnreadableFileError, texts
from dryrun.yaml_nodes import YamlError, load_all
from kube.client import NAMESPACES
from kube.errors import Malformed
from reconciler.known.configmaps import read_source

READERS: Mapping[tuple[str, str], Callable[[bytes], object]] = {
    ("v1", "ConfigMap"): read_source,
    ("v1", "Namespace"): read_namespace,
    (API_VERSION, KIND): lambda raw: read_sync(raw, frozenset()),
}
NAME_LABEL = "kubernetes.io/metadata.name"  # the API server puts it on every namespace
DEFAULT_NAMESPACE = "default"
# A file cannot change these fields.
SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "finalizers", "generation")


def read(filenames: Iterable[str]) -> list[Document]:
    """Return every object that concerns a plan, in the order of the files.

    Args:
        filenames: files, folders, or `-` for standard input. Of a folder every .yaml, .yml and
            .json file is read, but no folder inside it.

    Raises:
        UnreadableFileError: a file cannot be read, is not YAML, or has an object of a wrong shape.
    """
    return [
        document
        for name in filenames
        for content, origin in documents_of(name)
        for document in _objects(content, origin)
    ]


def documents_of(filename: str) -> Iterator[tuple[Any, str]]:
    """Yield each document of files, of whatever shape, and the name of its file.

    Args:
        filename: a file, a folder, or `-` for standard input.

    Raises:
        UnreadableFileError: a file cannot be read, or is not YAML.
    """
    for text, origin in texts(filename):
        try:
            for node in load_all(text):
                yield node.plain(), origin
        except YamlError as error:
            message = f"{origin} is not valid YAML at line {error.position.line}: {error}"
            raise UnreadableFileError(message) from error


async def apply_files(
    simulator: Simulator, cluster: SimulatedCluster, documents: list[Document]
) -> list[NamespacedName]:
    """Apply documents to the simulated cluster, namespaces first; return the syncs among them.

    The namespace of an object is assumed to exist, because the object could not be applied
    otherwise. No other namespace is assumed to exist.

    Raises:
        ApiError: a live object could not be read.
    """
    syncs: dict[NamespacedName, None] = {}
    for document in sorted(documents, key=lambda document: document["kind"] != "Namespace"):
        if document["kind"] == "Namespace":
            await _put_namespace(simulator, cluster, document)
            continue
        metadata = document["metadata"]
        key = NamespacedName(metadata.get("namespace") or DEFAULT_NAMESPACE, metadata["name"])
        if key.namespace not in simulator.caches.namespaces_by_name:
            await _put_namespace(simulator, cluster, {"metadata": {"name": key.namespace}})
        qualified = {**document, "metadata": {**metadata, **key._asdict()}}
        if document["kind"] == "ConfigMap":
            simulator.put(key, _applied(qualified, await cluster.find(key)))
        else:
            simulator.put_sync(_applied(qualified, await cluster.find(key, CONFIGMAPSYNCS)))
            syncs[key] = None
    return list(syncs)


def _objects(document: Any, origin: str) -> Iterator[Document]:
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise UnreadableFileError(f"{origin} contains a document that is not a Kubernetes object")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, origin)
    elif (reader := READERS.get((str(document.get("apiVersion")), document["kind"]))) is not None:
        yield _checked(document, origin, reader)


def _checked(document: Document, origin: str, reader: Callable[[bytes], object]) -> Document:
    """Return the document if the reconciler could decode it.

    A spec that breaks a rule can be decoded. A ConfigMap with a number as a value cannot.
    """
    kind, metadata = document["kind"], document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UnreadableFileError(f"{origin} contains a {kind} without a name")
    try:
        reader(msgspec.json.encode(document))
    except (Malformed, ValueError, TypeError) as error:
        cause = error.__cause__ if isinstance(error, Malformed) else error
        # msgspec names a path and a type. Another error may quote a value.
        detail = f": {cause}" if isinstance(cause, msgspec.MsgspecError) else " has the wrong shape"
        raise UnreadableFileError(f"{origin}: {kind} {metadata['name']}{detail}") from error
    return document


async def _put_namespace(
    simulator: Simulator, cluster: SimulatedCluster, document: Document
) -> None:
    name = document["metadata"]["name"]
    applied = _applied(document, await cluster.find(NamespacedName("", name), NAMESPACES))
    applied["metadata"]["labels"][NAME_LABEL] = name
    simulator.put_namespace(applied)


def _applied(document: Document, found: Document | None) -> Document:
    """Return the live object with the fields of a document.

    Labels and annotations are merged. The status and the fields of the API server stay. Any other
    field is replaced as a whole.
    """
    live = found or {"metadata": {}}
    given, existing = document["metadata"], live["metadata"]
    metadata: dict[str, Any] = {**existing, **given}
    metadata |= {field: existing[field] for field in SERVER_FIELDS if field in existing}
    for part in ("labels", "annotations"):
        metadata[part] = {**(existing.get(part) or {}), **(given.get(part) or {})}
    status = {"status": live["status"]} if "status" in live else {}
    return {**live, **document, **status, "metadata": metadata}
