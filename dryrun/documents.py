"""The objects of YAML and JSON files, as far as they concern a plan: ConfigMapSyncs, ConfigMaps and Namespaces."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from cluster.syncs import read_sync
from configmapsync.names import API_VERSION, KIND
from kube.errors import Malformed
from kube.wire import decode_partial
from reconciler.known.configmaps import read_source

Document = dict[str, Any]

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = "-"
READERS: Mapping[tuple[str, str], Callable[[bytes], object]] = {
    ("v1", "ConfigMap"): read_source,
    ("v1", "Namespace"): decode_partial,
    (API_VERSION, KIND): lambda raw: read_sync(raw, frozenset()),
}


class UnreadableFile(Exception):
    """A file that is not there, or holds no objects."""


def read(filenames: Iterable[str]) -> list[Document]:
    """Every object that concerns a plan, in the order of the files; all other kinds are passed over.

    Args:
        filenames: files, folders (of which every .yaml, .yml and .json is read, but no folder in them), or `-`.

    Raises:
        UnreadableFile: one line for people; it quotes nothing of the file.
    """
    return [
        document
        for name in filenames
        for text, told in _texts(name)
        for document in _documents(text, told)
    ]


def _texts(filename: str) -> Iterator[tuple[str, str]]:
    if filename == STANDARD_INPUT:
        yield sys.stdin.read(), "standard input"
        return
    path = Path(filename)
    files = (
        sorted(child for child in path.iterdir() if child.suffix in SUFFIXES)
        if path.is_dir()
        else [path]
    )
    for file in files:
        try:
            yield file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            raise UnreadableFile(f"{file} cannot be read: {error.__class__.__name__}") from error


def _documents(text: str, told: str) -> Iterator[Document]:
    try:
        for document in yaml.load_all(text, yaml.CSafeLoader):
            yield from _objects(document, told)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise UnreadableFile(f"{told} is no YAML{line}") from error


def _objects(document: Any, told: str) -> Iterator[Document]:
    if document is None:
        return
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise UnreadableFile(f"{told} holds something that is no Kubernetes object")
    if document["kind"].endswith("List") and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _objects(item, told)
    elif (reader := READERS.get((str(document.get("apiVersion")), document["kind"]))) is not None:
        yield _checked(document, told, reader)


def _checked(document: Document, told: str, reader: Callable[[bytes], object]) -> Document:
    """The document, if the reconciler could read it; a spec with errors is readable, a number as a value of a ConfigMap is not."""
    kind, metadata = document["kind"], document.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        raise UnreadableFile(f"{told} holds a {kind} without a name")
    try:
        reader(msgspec.json.encode(document))
    except msgspec.MsgspecError as error:
        raise UnreadableFile(_why_unreadable(document, told, error)) from error
    except Malformed as error:
        raise UnreadableFile(_why_unreadable(document, told, error.__cause__)) from error
    except (ValueError, TypeError) as error:
        raise UnreadableFile(_why_unreadable(document, told, error)) from error
    return document


def _why_unreadable(document: Document, told: str, cause: BaseException | None) -> str:
    """Quote msgspec, which says where and what type was expected; anything else may quote what it found."""
    said = f": {cause}" if isinstance(cause, msgspec.MsgspecError) else " is not of the right shape"
    return f"{told}: {document['kind']} {document['metadata']['name']}{said}"
