"""Apply JSON patches as kube-apiserver's library does. Pure.

`patches.py` calls it for requests, the admission chain for webhooks. It differs from
RFC 6902: `replace` creates, a missing value is null, `test` for null succeeds on a
missing member, and indexes may be negative.
"""

import copy
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

INDEX = re.compile(r"[-+]?[0-9]+")
LONGEST_INDEX = 9  # digits


class PatchFailedError(Exception):
    """An operation that cannot be carried out."""


def apply_operations(document: Any, operations: Sequence[Any]) -> Any:
    """Return the document after all operations.

    Raises:
        PatchFailedError: one of them cannot be carried out.
    """
    patched = copy.deepcopy(document)
    for given in operations:
        operation = given if isinstance(given, Mapping) else {}
        if (operation.get("op"), operation.get("path")) == ("replace", ""):
            patched = copy.deepcopy(operation.get("value"))
        else:
            _apply(patched, operation)
    return patched


def _apply(document: Any, operation: Mapping[str, Any]) -> None:
    value = copy.deepcopy(operation.get("value"))
    match operation.get("op"):
        case "add":
            _add(*_holder(document, operation.get("path")), value)
        case "remove":
            _remove(*_holder(document, operation.get("path")))
        case "replace":
            holder, key = _holder(document, operation.get("path"))
            holder[_index(holder, key) if isinstance(holder, list) else key] = value
        case "move":
            moved = _get(*_holder(document, operation.get("from")))
            _remove(*_holder(document, operation.get("from")))
            _add(*_holder(document, operation.get("path")), moved)
        case "copy":
            copied = _get(*_holder(document, operation.get("from")))
            _add(*_holder(document, operation.get("path")), copy.deepcopy(copied))
        case "test":
            if not _equal(_get(*_holder(document, operation.get("path"))), value):
                raise PatchFailedError(f"testing value {operation.get('path')} failed")
        case other:
            raise PatchFailedError(f"unexpected kind: {other}")


def _holder(document: Any, path: Any) -> tuple[Any, str]:
    """Return the object or list that a path ends in, and the key in it."""
    parts = path.split("/") if isinstance(path, str) else []
    if len(parts) < 2:
        raise PatchFailedError(f"missing path: {json.dumps(path)}")
    holder = document
    if not isinstance(holder, dict | list):
        raise PatchFailedError(f"missing path: {path}")
    for part in parts[1:-1]:
        holder = _get(holder, _unescaped(part))
        if not isinstance(holder, dict | list):
            raise PatchFailedError(f"missing path: {path}")
    return holder, _unescaped(parts[-1])


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _get(holder: Any, key: str) -> Any:
    """Return what stands there; where nothing does, that is null."""
    return holder[_index(holder, key)] if isinstance(holder, list) else holder.get(key)


def _index(items: Sequence[Any], key: str, *, end: int = 0) -> int:
    """Return the position of a key; `end` is 1 if the place behind the last item counts."""
    if not INDEX.fullmatch(key) or len(key) > LONGEST_INDEX:
        raise PatchFailedError(f"invalid index: {key}")
    index, length = int(key), len(items) + end
    if not -length <= index < length:
        raise PatchFailedError(f"index out of bounds: {key}")
    return index % length


def _add(holder: Any, key: str, value: Any) -> None:
    if isinstance(holder, list):
        holder.insert(len(holder) if key == "-" else _index(holder, key, end=1), value)
    else:
        holder[key] = value


def _remove(holder: Any, key: str) -> None:
    if isinstance(holder, list):
        del holder[_index(holder, key)]
    elif key in holder:
        del holder[key]
    else:
        raise PatchFailedError(f"cannot remove what is not there: {key}")


def _equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same JSON text, apart from key order: 1 is not 1.0."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
