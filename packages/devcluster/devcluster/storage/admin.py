"""Create the initial objects, and apply the manifests of `--apply`."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from devcluster.access.control import Access
from devcluster.access.users import User
from devcluster.http.options import WriteOptions
from devcluster.schema.catalog import Catalog
from devcluster.storage import patches
from devcluster.storage.registry import Registry
from devcluster.storage.store import Store
from devcluster.storage.target import Target

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
ITSELF = User("system:apiserver", "", ("system:masters", "system:authenticated"), {})
PLAIN = WriteOptions(
    dry_run=False, field_manager="devcluster", field_validation="Strict", force=True
)
ENDINGS = (".yaml", ".yml", ".json")


async def begin_cluster(store: Store, catalog: Catalog, registry: Registry, access: Access) -> None:
    """Create the first namespaces and the default roles, where they are not there yet."""
    documents = [
        _namespace(name) for name in NAMESPACES if store.get(("", "namespaces"), "", name) is None
    ]
    for document in [*documents, *access.missing_defaults()]:
        await put_object(document, catalog, registry)


async def apply_manifests(paths: Sequence[Path], catalog: Catalog, registry: Registry) -> None:
    """Create or merge every object in files and folders, in the order of their names.

    Raises:
        ValueError: a file is no manifest of kinds that are served.
    """
    for path in paths:
        for document in documents_in(path):
            await put_object(document, catalog, registry)


async def put_object(document: dict[str, Any], catalog: Catalog, registry: Registry) -> None:
    """Create one object, or merge it into the one that is there."""
    kind = catalog.by_kind(str(document.get("apiVersion")), str(document.get("kind")))
    if kind is None:
        raise ValueError(
            f"no such kind is served: {document.get('apiVersion')} {document.get('kind')}"
        )
    metadata = document.get("metadata") or {}
    namespace = metadata.get("namespace", "default") if kind.namespaced else ""
    target = Target(kind, namespace, metadata.get("name", ""), ITSELF, lambda _warning: None)
    old = registry.find(target)
    if old is None:
        await registry.create(target, document, PLAIN)
    else:
        await registry.update(target, old, patches.merge_patch(old, document), PLAIN)


def documents_in(path: Path) -> Iterator[dict[str, Any]]:
    """Every object in a file or folder.

    Raises:
        ValueError: a file cannot be read.
    """
    files: Iterable[Path] = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if (
            file.is_dir()
            or (path.is_dir() and file.suffix not in ENDINGS)
            or file.name.startswith("kustomization.")
        ):
            continue
        try:
            found = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise ValueError(f"{file}: {error}") from error
        for document in found:
            yield from (
                (document.get("items") or [])
                if document and document.get("kind") == "List"
                else [document]
                if document
                else []
            )


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
