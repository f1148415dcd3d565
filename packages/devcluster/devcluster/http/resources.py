"""Carry out the verbs on resources: call the registry and render its answer.

`server.py` calls it. `storage/registry.py` holds the rules of writing.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from devcluster import fields
from devcluster.access.control import Access
from devcluster.access.review_resources import TOKEN_REQUEST
from devcluster.access.token_requests import request_token
from devcluster.access.users import User
from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.http.decoding import (
    WrongTypeError,
    cannot_be_handled,
    check_kind,
    check_options,
    typed,
    with_checked_metadata,
)
from devcluster.http.negotiation import Accepted
from devcluster.http.options import DeleteOptions, ListOptions, WriteOptions, version_problem
from devcluster.http.parsing import (
    GO_MAP,
    go_kind,
    read_applied,
    read_body,
    read_options,
    read_patch,
)
from devcluster.http.routes import Route, not_allowed
from devcluster.output.representation import metadata_only, shown, without_type
from devcluster.output.tables import columns_of, included, table
from devcluster.output.yaml_text import yaml_text
from devcluster.schema.catalog import Catalog
from devcluster.schema.field_problems import invalid_value
from devcluster.schema.kinds import Kind
from devcluster.schema.metadata import SERVER_FIELDS, placed
from devcluster.storage import patches
from devcluster.storage.listing import Lister, Page, too_large
from devcluster.storage.registry import OvertakenError, Registry, Target, check_name, has_own_status
from devcluster.storage.store import Object, Revision, Store
from devcluster.storage.watching import View, Watch

BUILT_IN_PATCHES = (patches.JSON_PATCH, patches.MERGE, patches.STRATEGIC, patches.APPLY)
KEPT_IN_REVIEWS = ("resourceVersion",)  # of what clients cannot set on objects that are stored
OVERTAKEN_TRIES = 5  # as often as kube-apiserver tries a patch again
CUSTOM_PATCHES = (patches.JSON_PATCH, patches.MERGE, patches.APPLY)


@dataclass(frozen=True, slots=True)
class Call:
    """A request on a resource, with its body read and its user known."""

    route: Route
    method: str
    query: Mapping[str, str]
    content_type: str
    body: bytes
    accepted: Accepted
    user: User
    user_agent: str
    warn: Callable[[str], None]

    @property
    def target(self) -> Target:
        """What it is about."""
        route = self.route
        return Target(route.kind, route.home, route.name, self.user, self.warn, route.subresource)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes
    yaml: bool = False


class Resources:
    """Answers calls from one store."""

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        registry: Registry,
        access: Access,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._registry = registry
        self._access = access
        self._now = now
        self.lister = Lister(store)

    async def answer(self, call: Call) -> Answer:
        """Carry a call out.

        Raises:
            ApiStatus: it was refused.
        """
        route = call.route
        if route.subresource == "token":
            return self._issue_token(call)
        if not route.name:
            return await self._collection(call)
        allowed = (
            route.kind.subresources[route.subresource].verbs
            if route.subresource
            else route.kind.verbs
        )
        match call.method:
            case "GET" if "get" in allowed:
                self._check_reached(call.query.get("resourceVersion") or "0")
                return self._object(call, self._registry.get(call.target))
            case "PUT" if "update" in allowed:
                return await _retried(lambda: self._replace(call))
            case "PATCH" if "patch" in allowed:
                return await _retried(lambda: self._patch(call))
            case "DELETE" if "delete" in allowed:
                return await self._delete(call)
            case _:
                raise not_allowed()

    def watch(self, call: Call, options: ListOptions) -> Watch:
        """Begin a watch.

        Raises:
            ApiStatus: a selector cannot be read.
        """
        return Watch(self._store, call.route.kind, call.route.namespace, options, self._view(call))

    def _check_reached(self, version: str) -> None:
        """Refuse a version that does not exist yet."""
        if (problem := version_problem(version)) is not None:
            raise ApiStatus(500, "", f"resourceVersion: {problem}")
        if int(version) > self._store.version:
            raise too_large(int(version), self._store.version)

    async def _collection(self, call: Call) -> Answer:
        kind = call.route.kind
        match call.method:
            case "GET":
                return self._list(call)
            case "POST" if (
                "create" in kind.verbs and (call.route.namespace is not None) == kind.namespaced
            ):
                return await self._create(call)
            case "DELETE" if (
                "deletecollection" in kind.verbs
                and (call.route.namespace is not None) == kind.namespaced
            ):
                return await self._delete_collection(call)
            case _:
                raise not_allowed()

    def _list(self, call: Call) -> Answer:
        page = self.lister.page(
            call.route.kind, call.route.namespace, ListOptions.parse(call.query)
        )
        return self._listed(call, page)

    async def _create(self, call: Call) -> Answer:
        options = WriteOptions.parse(call.query, "CreateOptions", call.user_agent)
        document = self._read(call, options)
        created = await self._registry.create(call.target, document, options)
        return self._object(call, created, status=201)

    async def _replace(self, call: Call) -> Answer:
        options = WriteOptions.parse(call.query, "UpdateOptions", call.user_agent)
        document = self._read(call, options)
        target = call.target
        check_name(target, document)
        if (
            target.kind.create_on_update
            and self._store.get(target.kind.key, target.namespace, target.name) is None
        ):
            document = self._registry.without_version(document)
            return self._object(
                call, await self._registry.create(target, document, options), status=201
            )
        old = self._registry.get(target)
        self._registry.check_uid(target, old, document)
        return self._object(call, await self._registry.update(target, old, document, options))

    async def _patch(self, call: Call) -> Answer:
        kind = call.route.kind
        media = call.content_type.partition(";")[0].strip()
        if media not in BUILT_IN_PATCHES and kind.custom is None:
            raise ApiStatus(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
        if kind.custom is not None and media not in CUSTOM_PATCHES:
            message = (
                "the body of the request was in an unknown format - accepted media types include: "
            )
            raise ApiStatus(415, "UnsupportedMediaType", message + ", ".join(CUSTOM_PATCHES))
        options = WriteOptions.parse(call.query, "PatchOptions", call.user_agent)
        if media == patches.APPLY:
            return await self._apply(call, options)
        if options.force:
            cause = FieldCause(
                "FieldValueForbidden",
                "force",
                "Forbidden: may not be specified for non-apply patch",
            )
            raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        old = self._registry.get(call.target)
        patched = self._patched(shown(old, kind), call, media)
        document = self._checked_patch(call, patched, options)
        return self._object(call, await self._registry.update(call.target, old, document, options))

    def _patched(self, document: Object, call: Call, media: str) -> Any:
        problem = "" if media == patches.STRATEGIC else "error decoding patch: "
        patch = read_patch(call.body, problem)
        if media == patches.JSON_PATCH:
            patched = patches.json_patch(document, patch)
            for field in patches.unknown_in_operations(patch):
                call.warn(f'json patch unknown field "{field}"')
            return patched
        if not isinstance(patch, dict):
            why = f"{problem}json: cannot unmarshal {go_kind(patch)} into {GO_MAP}"
            raise bad_request("Invalid JSON Patch" if patch is None else why)
        if media == patches.MERGE:
            return patches.merge_patch(document, patch)
        type_ = call.route.kind.type
        assert type_ is not None  # noqa: S101 - only built-in kinds take strategic patches
        return patches.strategic_merge_patch(document, patch, type_)

    def _checked_patch(self, call: Call, patched: Any, options: WriteOptions) -> Object:
        """The patched object, if it still is one of its kind."""
        kind = call.route.kind
        try:
            if not isinstance(patched, dict):
                raise WrongTypeError(f"json: cannot unmarshal {go_kind(patched)} into {GO_MAP}")
            if kind.custom is not None and not patched.get("kind"):
                raise WrongTypeError("Object 'Kind' is missing")
            patched = {"kind": kind.kind, "apiVersion": kind.api_version, **patched}
            if kind.custom is not None:
                self._check_identity(call, patched)
            elif (patched["kind"], patched["apiVersion"]) != (kind.kind, kind.api_version):
                raise WrongTypeError("illegal base64 data at input byte 0")
            document, unknown = self._known_fields(patched, kind)
        except WrongTypeError as error:
            text = msgspec.json.encode(patched, order="deterministic").decode()
            cause = FieldCause(
                "FieldValueInvalid", "patch", f"Invalid value: {json.dumps(text)}: {error}"
            )
            raise invalid("", "", "", [cause]) from error
        self._tell_unknown(call, unknown, options, 422)
        return document

    def _check_identity(self, call: Call, patched: Object) -> None:
        """A patch cannot make another kind of a custom resource."""
        kind = call.route.kind
        for field, wanted in (("kind", kind.kind), ("apiVersion", kind.api_version)):
            if patched[field] != wanted:
                cause = invalid_value(field, patched[field], f"must be {wanted}")
                raise invalid(kind.group, str(patched["kind"]), call.route.name, [cause])

    async def _apply(self, call: Call, options: WriteOptions) -> Answer:
        kind, target = call.route.kind, call.target
        if not call.query.get("fieldManager"):
            cause = FieldCause(
                "FieldValueRequired", "fieldManager", "Required value: is required for apply patch"
            )
            raise invalid("meta.k8s.io", "PatchOptions", "", [cause])
        applied = self._read_applied(call)
        stored = self._store.get(kind.key, target.namespace, target.name)
        old = stored.object if stored else None
        metadata = applied.get("metadata")
        if old is None and target.subresource:
            self._registry.get(target)
        uid = metadata.get("uid") if isinstance(metadata, dict) else None
        if old is None and isinstance(uid, str) and uid:
            why = (
                f"uid mismatch: the provided object specified uid {uid}, and no existing object "
                "was found"
            )
            raise self._registry.conflict(target, why)
        types = fields.types_of(kind)
        merged = fields.apply(
            old,
            applied,
            options.field_manager,
            options.force,
            types,
            self._registry.timestamp,
            target.subresource,
            reset=("status",) if has_own_status(kind, target.subresource) else (),
        )
        merged = self._checked_apply(call, merged, options)
        if old is None:
            created = await self._registry.create(target, merged, options, applied=merged)
            return self._object(call, created, status=201)
        return self._object(
            call, await self._registry.update(target, old, merged, options, apply=True)
        )

    def _checked_apply(self, call: Call, merged: Object, options: WriteOptions) -> Object:
        kind = call.route.kind
        try:
            merged, unknown = self._known_fields(merged, kind)
        except WrongTypeError as error:
            raise ApiStatus(
                500, "", f"failed to convert merged object to last applied version: {error}"
            ) from error
        self._tell_unknown(call, unknown, options, 500)
        return merged

    def _read_applied(self, call: Call) -> Object:
        """What is applied; it must say what it is."""
        document, kind = read_applied(call.body), call.route.kind
        metadata = document.get("metadata")
        if isinstance(metadata, dict) and metadata.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")
        named, version = str(document.get("kind") or ""), str(document.get("apiVersion") or "/")
        if (named, version) != (kind.kind, kind.api_version):
            raise bad_request(
                f"invalid object type: {version if '/' in version else f'/{version}'}, Kind={named}"
            )
        return document

    async def _delete(self, call: Call) -> Answer:
        deleted, gone = await self._registry.delete(call.target, self._delete_options(call))
        if not gone:
            return self._object(call, deleted)
        kind = call.route.kind
        details = {"name": call.route.name, "kind": kind.plural, "uid": deleted["metadata"]["uid"]}
        if kind.group:
            details["group"] = kind.group
        status = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }
        return Answer(200, msgspec.json.encode(status))

    async def _delete_collection(self, call: Call) -> Answer:
        options = self._delete_options(call)
        page = self.lister.page(
            call.route.kind, call.route.namespace, ListOptions.parse(call.query)
        )
        for revision in page.revisions:
            namespace, name = revision.place
            target = Target(call.route.kind, namespace, name, call.user, call.warn)
            try:
                await self._registry.delete(target, options, of_collection=True)
            except ApiStatus as refusal:
                if refusal.code != 404:  # else another client has deleted it
                    raise
        return self._listed(call, page)

    def _delete_options(self, call: Call) -> DeleteOptions:
        body = check_options(read_options(call.body, call.content_type)) if call.body else None
        return DeleteOptions.parse(call.query, body)

    def review(self, call: Call) -> Answer:
        """Answer a review. It is decoded and rendered like a created object, and not stored.

        Raises:
            ApiStatus: it was refused.
        """
        document = self._read_answered(call)
        answer = self._access.reviewer.answer(
            call.route.kind.kind, call.user, call.route.home, document
        )
        return self._object(call, answer, status=201)

    def _read_answered(self, call: Call) -> Object:
        """Return the document of a review or token request, without metadata of the server."""
        options = WriteOptions.parse(call.query, "CreateOptions", call.user_agent)
        document = self._read(call, options)
        self._registry.check_namespace_of(call.target, document.get("metadata") or {})
        kind = call.route.kind
        tracked = fields.track(
            None, document, options.field_manager, fields.types_of(kind), self._registry.timestamp
        )
        keep = SERVER_FIELDS if kind is TOKEN_REQUEST else KEPT_IN_REVIEWS
        return dict(placed(tracked, namespace=call.route.home, keep=keep))

    def _issue_token(self, call: Call) -> Answer:
        if call.method != "POST":
            raise not_allowed()
        account = self._registry.get(call.target)
        request = replace(
            call, route=replace(call.route, kind=TOKEN_REQUEST, name="", subresource="")
        )
        answer = request_token(
            self._access.tokens,
            self._access.uid_of,
            account,
            self._read_answered(request),
            lambda: self._registry.timestamp,
        )
        return self._object(request, answer, status=201)

    def _read(self, call: Call, options: WriteOptions) -> Object:
        """The object in a body, checked against its kind."""
        kind = call.route.kind
        decoded = read_body(call.body, call.content_type, kind.kind)
        if kind.custom is not None:
            self._check_version(call, decoded.document)
        document = check_kind(decoded.document, kind)
        try:
            document, unknown = self._known_fields(document, kind)
        except WrongTypeError as error:
            raise cannot_be_handled(kind, error) from error
        self._tell_unknown(call, unknown, options, 400, decoded.repeated)
        return document

    def _known_fields(self, document: Object, kind: Kind) -> tuple[Object, list[str]]:
        """The document as far as its types are known, and the paths of what is not.

        Raises:
            WrongTypeError: a field is not what the kind says.
        """
        if kind.custom is None:
            return typed(document, kind)
        document = with_checked_metadata(document)
        return document, kind.custom.schema.prune(document)[1]

    def _check_version(self, call: Call, document: Mapping[str, Any]) -> None:
        """Refuse a custom resource of another version, whose fields are unknown."""
        given, wanted = document.get("apiVersion") or "", call.route.kind.api_version
        if not document.get("kind"):
            why = f"Object 'Kind' is missing in '{call.body.decode(errors='replace')}'"
            raise bad_request(
                "the object provided is unrecognized (must be of type "
                f"{call.route.kind.kind}): {why}"
            )
        if given == wanted:
            return
        for name in sorted(set(document) - {"apiVersion", "kind", "metadata"}):
            call.warn(f'unknown field "{name}"')
        raise bad_request(
            f"the API version in the data ({given}) does not match the expected API version "
            f"({wanted})"
        )

    def _tell_unknown(
        self,
        call: Call,
        unknown: list[str],
        options: WriteOptions,
        code: int,
        repeated: list[str] | None = None,
    ) -> None:
        """Warn of fields that are dropped, or refuse them."""
        problems = [*(repeated or ()), *(f'unknown field "{path}"' for path in unknown)]
        if not problems or options.field_validation == "Ignore":
            return
        if options.field_validation != "Strict":
            for problem in problems:
                call.warn(problem)
            return
        kind = call.route.kind
        why = f"strict decoding error: {', '.join(problems)}"
        if code == 400:
            raise cannot_be_handled(kind, why)
        raise invalid(
            "", "", "", [FieldCause("FieldValueInvalid", "patch", f"Invalid value: {why}")]
        )

    def _object(self, call: Call, obj: Object, status: int = 200) -> Answer:
        """One object in the form that is wanted."""
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

    def _listed(self, call: Call, page: Page) -> Answer:
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

    def _view(self, call: Call) -> View:
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
        told: list[bool] = []

        def row(obj: Object) -> Any:
            heading = not told
            told.append(True)
            listed = {"resourceVersion": obj["metadata"]["resourceVersion"]}
            return table(
                [obj], columns_of(kind, self._now()), listed, version, include, heading=heading
            )

        return row


async def _retried(write: Callable[[], Awaitable[Answer]]) -> Answer:
    """Retry a write that was overtaken; one with a resourceVersion gets its conflict then."""
    for _ in range(OVERTAKEN_TRIES):
        try:
            return await write()
        except OvertakenError:
            continue
    return await write()


__all__ = ["Answer", "Call", "Resources", "Revision"]
