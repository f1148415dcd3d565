"""Read, select and hash the content of a ConfigMap.

`copies.py` and `rendering.py` build on it, and the reconciler decodes sources into it.
No function here may depend on the order of keys.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from configmapsync.globs import Globs, is_glob
from configmapsync.names import NamespacedName
from configmapsync.spec import KeySelection

# A ConfigMap of 1.5 MB can have 190,000 keys, and hashing them took 140 ms. A source with more
# keys than this is not copied. Renames can give a copy more keys than its source has, but never
# twice as many.
MOST_SOURCE_KEYS = 16_384
MOST_HASHED_KEYS = 2 * MOST_SOURCE_KEYS
TOO_MANY_KEYS = "sha256:too-many-keys"  # equals the digest of no template


@dataclass(frozen=True, slots=True)
class Content:
    """The part of a ConfigMap that a copy repeats.

    Attributes:
        data: the text values.
        binary_data: the binary values in base64, as on the wire.
        immutable: whether the API server refuses changes of the content.
    """

    data: Mapping[str, str]
    binary_data: Mapping[str, str]
    immutable: bool = False

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys of both parts."""
        return frozenset((*self.data, *self.binary_data))

    @property
    def key_count(self) -> int:
        """Return the number of keys of both parts."""
        return len(self.data) + len(self.binary_data)

    @property
    def size(self) -> int:
        """Return the bytes of all keys and values in UTF-8."""
        entries = (*self.data.items(), *self.binary_data.items())
        return sum(
            len(text) if text.isascii() else len(text.encode())
            for entry in entries
            for text in entry
        )


@dataclass(frozen=True, slots=True)
class SourceObject:
    """A source as it was read.

    Attributes:
        key: the namespace and name of the ConfigMap.
        resource_version: the version that was read.
        content: the content to copy; empty if `too_many_keys` is set.
        labels: all labels.
        annotations: all annotations.
        too_many_keys: the number of keys if the source has more than `MOST_SOURCE_KEYS`; else 0.
        known_digest: the digest of all copies if the content was not read, because the status
            of the sync still describes this version; else None. `content` is empty then.
    """

    key: NamespacedName
    resource_version: str
    content: Content
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    too_many_keys: int = 0
    known_digest: str | None = None


def digest(content: Content) -> str:
    """Return the hash of the content; equal content has an equal hash in any order of its keys.

    Content with more than `MOST_HASHED_KEYS` keys is not hashed: its digest is `TOO_MANY_KEYS`.
    """
    if content.key_count > MOST_HASHED_KEYS:
        return TOO_MANY_KEYS
    kind = b"immutable" if content.immutable else b"mutable"
    return hash_of(kind, content.data, content.binary_data)


def hash_of(kind: bytes, *parts: Mapping[str, str]) -> str:
    """Return the hash of mappings.

    The length precedes each text and each mapping, so that two inputs never become the same bytes.

    Args:
        kind: a prefix that keeps the hashes of different things apart.
        parts: the mappings.
    """
    hasher = hashlib.sha256(kind)
    for part in parts:
        hasher.update(b"|%d" % len(part))
        for key in sorted(part):
            for text in (key, part[key]):
                encoded = text.encode("utf-8", "surrogatepass")
                hasher.update(b"|%d|" % len(encoded))
                hasher.update(encoded)
    return f"sha256:{hasher.hexdigest()}"


def choose_keys(content: Content, keys: Iterable[KeySelection]) -> Content:
    """Return the selected keys under their new names; all keys if none are selected.

    A selected key that the source lacks is left out. `validation.py` rejects two exact entries
    with the same new name. If a glob and an exact entry give the same new name, the exact entry
    wins.
    """
    chosen = tuple(keys)
    if not chosen:
        return content
    names = _names_in_copy(chosen, (*content.data, *content.binary_data))
    data, binary_data = (
        {new: part[old] for new, old in names.items() if old in part}
        for part in (content.data, content.binary_data)
    )
    return Content(data, binary_data, content.immutable)


def _names_in_copy(chosen: tuple[KeySelection, ...], present: Iterable[str]) -> dict[str, str]:
    """Map each key of the copy to a key of the source; exact entries replace those of globs."""
    available = set(present)
    patterns = Globs(selection.key for selection in chosen if is_glob(selection.key))
    exact = (
        (selection.as_ or selection.key, selection.key)
        for selection in chosen
        if not is_glob(selection.key)
    )
    return {key: key for key in patterns.among(available)} | {
        new: old for new, old in exact if old in available
    }


def unmatched_keys(keys: Iterable[KeySelection], present: Iterable[str]) -> tuple[str, ...]:
    """Return a message for each entry of `spec.keys` that matches no key of the source."""
    chosen = tuple(keys)
    unmatched = set(Globs(selection.key for selection in chosen).unmatched(present))
    return tuple(
        f'spec.keys[{index}] "{selection.key}" matches no key of the source'
        for index, selection in enumerate(chosen)
        if selection.key in unmatched
    )
