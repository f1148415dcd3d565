"""Carry out the verbs on resources: call the registry and render its answer.

`server.py` calls it. `storage/registry.py` holds the rules of writing.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from devcluster import fields
from devcluster.access.control import Access
from devcluster.access.review_resources import TOKEN_REQUEST
from devcluster.access.token_requests import request_token
from devcluster.errors import ApiStatus, FieldCause, bad_request, invalid
from devcluster.http.bodies import known_fields, read_object, report_unknown
from devcluster.http.calls import Answer, Call
from devcluster.http.decoding import (
    WrongTypeError,
    check_options,
)
from devcluster.http.options import DeleteOptions, ListOptions, WriteOptions, version_problem
from devcluster.http.parsing import (
    GO_MAP,
    go_kind,
    read_applied,
    read_options,
    read_patch,
)
from devcluster.http.presenting import Presenter
from devcluster.http.routes import not_allowed
from devcluster.output.representation import shown
from devcluster.schema.catalog import Catalog
from devcluster.schema.field_problems import invalid_value
from devcluster.schema.metadata import SERVER_FIELDS, placed
from devcluster.storage import patches
from devcluster.storage.listing import Lister, too_large
from devcluster.storage.parts import has_own_status
from devcluster.storage.preconditions import (
    check_name,
    check_namespace_of,
    check_uid,
    conflict,
    without_version,
)
from devcluster.storage.registry import OvertakenError, Registry
from devcluster.storage.store import Object, Store
from devcluster.storage.target import Target
from devcluster.storage.watching import Watch

BUILT_IN_PATCHES = (patches.JSON_PATCH, patches.MERGE, patches.STRATEGIC, patches.APPLY)
KEPT_IN_REVIEWS = ("resourceVersion",)  # of what clients cannot set on objects that are stored
OVERTAKEN_TRIES = 5  # as often as kube-apiserver tries a patch again
CUSTOM_PATCHES = (patches.JSON_PATCH, patches.MERGE, patches.APPLY)


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
        self._presenter = Presenter(now)
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
                return self._presenter.object(call, self._registry.get(call.target))
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
        return Watch(
            self._store, call.route.kind, call.route.namespace, options, self._presenter.view(call)
        )

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
        return self._presenter.listed(call, page)

    async def _create(self, call: Call) -> Answer:
        options = WriteOptions.parse(call.query, "CreateOptions", call.user_agent)
        document = read_object(call, options)
        created = await self._registry.create(call.target, document, options)
        return self._presenter.object(call, created, status=201)

    async def _replace(self, call: Call) -> Answer:
        options = WriteOptions.parse(call.query, "UpdateOptions", call.user_agent)
        document = read_object(call, options)
        target = call.target
        check_name(target, document)
        if (
            target.kind.create_on_update
            and self._store.get(target.kind.key, target.namespace, target.name) is None
        ):
            document = without_version(document)
            return self._presenter.object(
                call, await self._registry.create(target, document, options), status=201
            )
        old = self._registry.get(target)
        check_uid(target, old, document)
        return self._presenter.object(
            call, await self._registry.update(target, old, document, options)
        )

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
        return self._presenter.object(
            call, await self._registry.update(call.target, old, document, options)
        )

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
            document, unknown = known_fields(patched, kind)
        except WrongTypeError as error:
            text = msgspec.json.encode(patched, order="deterministic").decode()
            cause = FieldCause(
                "FieldValueInvalid", "patch", f"Invalid value: {json.dumps(text)}: {error}"
            )
            raise invalid("", "", "", [cause]) from error
        report_unknown(call, unknown, options, 422)
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
            raise conflict(target, why)
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
            return self._presenter.object(call, created, status=201)
        return self._presenter.object(
            call, await self._registry.update(target, old, merged, options, apply=True)
        )

    def _checked_apply(self, call: Call, merged: Object, options: WriteOptions) -> Object:
        kind = call.route.kind
        try:
            merged, unknown = known_fields(merged, kind)
        except WrongTypeError as error:
            raise ApiStatus(
                500, "", f"failed to convert merged object to last applied version: {error}"
            ) from error
        report_unknown(call, unknown, options, 500)
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
            return self._presenter.object(call, deleted)
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
        return self._presenter.listed(call, page)

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
        return self._presenter.object(call, answer, status=201)

    def _read_answered(self, call: Call) -> Object:
        """Return the document of a review or token request, without metadata of the server."""
        options = WriteOptions.parse(call.query, "CreateOptions", call.user_agent)
        document = read_object(call, options)
        check_namespace_of(call.target, document.get("metadata") or {})
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
        return self._presenter.object(request, answer, status=201)


async def _retried(write: Callable[[], Awaitable[Answer]]) -> Answer:
    """Retry a write that was overtaken; one with a resourceVersion gets its conflict then."""
    for _ in range(OVERTAKEN_TRIES):
        try:
            return await write()
        except OvertakenError:
            continue
    return await write()
