"""Answer lists: selectors, versions and pages."""

import base64
import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from devcluster.errors import ApiStatus, bad_request
from devcluster.http.options import ListOptions
from devcluster.schema.kinds import Kind
from devcluster.storage.selectors import Predicate, field_predicate, label_predicate
from devcluster.storage.store import SNAPSHOTS, Revision, Store, TooOldError

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list."""

    revisions: list[Revision]
    metadata: dict[str, Any]


class Lister:
    """Answers lists from one store, and remembers those that have a next page."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._snapshots: OrderedDict[str, tuple[int, list[Revision]]] = OrderedDict()

    def page(self, kind: Kind, namespace: str | None, options: ListOptions) -> Page:
        """Return one page of a list.

        Raises:
            ApiStatus: 400 for a bad token or selector, 410 for a compacted resourceVersion, 504
                for a resourceVersion in the future.
        """
        predicate = both(
            label_predicate(options.label_selector),
            field_predicate(options.field_selector, kind.key, custom=kind.custom is not None),
        )
        version, start, revisions = self._state(kind, namespace, options)
        unpaged = not options.limit or (options.version == "0" and not options.match)
        end = len(revisions) if unpaged else start
        selected: list[Revision] = []
        for end in range(start, len(revisions) + 1):
            if end == len(revisions) or (not unpaged and len(selected) == options.limit):
                break
            if predicate is None or predicate(revisions[end].object):
                selected.append(revisions[end])
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        if any(predicate is None or predicate(revision.object) for revision in revisions[end:]):
            metadata["continue"] = self._continue(version, revisions, end)
            if predicate is None:
                metadata["remainingItemCount"] = len(revisions) - end
        return Page(selected, metadata)

    def forget(self) -> None:
        """The history is gone: no list can be continued."""
        self._snapshots.clear()

    def _state(
        self, kind: Kind, namespace: str | None, options: ListOptions
    ) -> tuple[int, int, list[Revision]]:
        """The version a list shows, where it begins, and what it is taken from."""
        if options.continue_token:
            resumed = self._resumed(options.continue_token)
            if options.version not in (None, "0"):
                raise bad_request("specifying resource version is not allowed when using continue")
            return resumed
        if options.at_version > self._store.version:
            raise too_large(options.at_version, self._store.version)
        if options.at_version and (
            options.match == "Exact" or (options.limit and not options.match)
        ):
            try:
                return (
                    options.at_version,
                    0,
                    self._store.at(kind.key, namespace, options.at_version),
                )
            except TooOldError as error:
                raise expired(str(error)) from error
        return self._store.version, 0, self._store.items(kind.key, namespace)

    def _continue(self, version: int, revisions: list[Revision], position: int) -> str:
        token = f"{version}.{id(revisions)}"
        self._snapshots[token] = (version, revisions)
        if len(self._snapshots) > SNAPSHOTS:
            self._snapshots.popitem(last=False)
        return base64.urlsafe_b64encode(
            json.dumps({"list": token, "start": position}).encode()
        ).decode()

    def _resumed(self, token: str) -> tuple[int, int, list[Revision]]:
        try:
            content = json.loads(base64.urlsafe_b64decode(f"{token}=="))
            name, start = content["list"], content["start"]
        except (ValueError, LookupError, TypeError) as error:
            raise bad_request(
                f"invalid continue token: continue key is not valid: {error}"
            ) from error
        known = self._snapshots.get(name)
        if known is None:
            raise expired(
                "The provided continue parameter is too old to display a consistent list result."
            )
        return known[0], start, known[1]


def both(first: Predicate | None, second: Predicate | None) -> Predicate | None:
    """What both let through."""
    if first is None or second is None:
        return first or second
    return lambda obj: first(obj) and second(obj)


def expired(message: str) -> ApiStatus:
    """410: list again."""
    return ApiStatus(410, "Expired", message)


def too_large(version: int, current: int) -> ApiStatus:
    """504: that version is not there yet."""
    message = f"Timeout: Too large resource version: {version}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiStatus(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})
