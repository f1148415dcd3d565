"""Render objects and lists as a call accepts them: whole, metadata only or a table.

`resources.py` calls it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from devcluster.errors import ApiStatus
from devcluster.http.calls import Answer, Call
from devcluster.output.representation import metadata_only, shown, without_type
from devcluster.output.tables import columns_of, included, table
from devcluster.output.yaml_text import yaml_text
from devcluster.schema.kinds import Kind
from devcluster.storage.listing import Page
from devcluster.storage.store import Object
from devcluster.storage.watching import View


class Presenter:
    """Renders answers."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Create a presenter.

        Args:
            now: the current time, for the ages in tables.
        """
        self._now = now

    def object(self, call: Call, obj: Object, status: int = 200) -> Answer:
        """Render one object.

        Raises:
            ApiStatus: 406, the call accepts lists only.
        """
        kind, accepted = call.route.kind, call.accepted
        match accepted.form:
            case "metadata":
                return Answer(status, msgspec.json.encode(metadata_only(obj)))
            case "metadata list":
                message = (
                    "you requested PartialObjectMetadataList, but the requested object is not a "
                    "list"
                )
                message += f" (*{kind.group.partition('.')[0] or 'core'}.{kind.kind})"
                raise ApiStatus(406, "NotAcceptable", message)
            case "table":
                return self._table(
                    call, [obj], {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
                )
            case _:
                document = shown(obj, kind)
                if accepted.yaml:
                    return Answer(status, yaml_text(document), yaml=True)
                return Answer(status, msgspec.json.encode(document))

    def listed(self, call: Call, page: Page) -> Answer:
        """Render a page of a list.

        Raises:
            ApiStatus: 406, the call accepts single objects only.
        """
        kind, accepted = call.route.kind, call.accepted
        if accepted.form == "metadata":
            message = (
                "you requested PartialObjectMetadata, but the requested object is a list "
                f"(*core.{kind.list_kind_name})"
            )
            raise ApiStatus(406, "NotAcceptable", message)
        if accepted.form == "table":
            return self._table(
                call, [revision.object for revision in page.revisions], page.metadata
            )
        form, make = self._item_form(call)
        items = b",".join(revision.encoded(form, make) for revision in page.revisions)
        partial = accepted.form == "metadata list"
        head: dict[str, Any] = {
            "kind": "PartialObjectMetadataList" if partial else kind.list_kind_name,
            "apiVersion": "meta.k8s.io/v1" if partial else kind.api_version,
            "metadata": page.metadata,
        }
        if kind.custom is not None and not partial:
            head["metadata"] = {
                "continue": "",
                **page.metadata,
            }  # lists of custom resources always carry it
        listed = b"null" if partial and not items else b"[" + items + b"]"
        body = msgspec.json.encode(head)[:-1] + b',"items":' + listed + b"}"
        return Answer(
            200, yaml_text(msgspec.json.decode(body)) if accepted.yaml else body, accepted.yaml
        )

    def _item_form(self, call: Call) -> tuple[str, Callable[[Object], Any]]:
        kind = call.route.kind
        if call.accepted.form == "metadata list":
            return "metadata", metadata_only
        if kind.custom is not None:
            return f"object {kind.api_version}", lambda obj: shown(obj, kind)
        return f"item {kind.api_version}", lambda obj: without_type(shown(obj, kind))

    def _table(self, call: Call, objects: list[Object], metadata: Mapping[str, Any]) -> Answer:
        columns = columns_of(call.route.kind, self._now())
        made = table(objects, columns, metadata, call.accepted.version, included(call.query))
        return Answer(200, msgspec.json.encode(made))

    def view(self, call: Call) -> View:
        """Return how the events of a watch are rendered."""
        kind = call.route.kind
        match call.accepted.form:
            case "metadata":
                return View("metadata", metadata_only)
            case "table":
                return View("", self._table_rows(call, kind))
            case _:
                return View(f"object {kind.api_version}", lambda obj: shown(obj, kind))

    def _table_rows(self, call: Call, kind: Kind) -> Callable[[Object], Any]:
        """Each event a table of one row; only the first describes the columns."""
        include, version = included(call.query), call.accepted.version
        described = False

        def row(obj: Object) -> Any:
            nonlocal described
            heading, described = not described, True
            listed = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return table(
                [obj], columns_of(kind, self._now()), listed, version, include, heading=heading
            )

        return row
