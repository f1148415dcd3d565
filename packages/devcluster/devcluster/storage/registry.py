"""The order of every write, from the decoded object to the store.

Create: default, record managedFields, mutate, prune and default again, validate, call
validating webhooks, store. An update does the same with the old object. A delete
checks preconditions and finalizers. A write without a change stores nothing; a dry
run skips only the last step.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from devcluster import fields
from devcluster.access.control import Access
from devcluster.access.escalation import check_grant
from devcluster.access.rbac import RBAC_GROUP
from devcluster.access.users import User
from devcluster.admission.request import AdmissionRequest, Operation, Resource
from devcluster.errors import (
    ApiStatus,
    FieldCause,
    bad_request,
    forbidden,
    invalid,
    not_found,
    qualified,
)
from devcluster.http.options import DeleteOptions, WriteOptions, version_problem
from devcluster.output.representation import stored_form
from devcluster.schema import metadata
from devcluster.schema.crds import accepted_status
from devcluster.schema.event_rules import event_causes
from devcluster.schema.kinds import Kind
from devcluster.schema.strategies import strategy_of
from devcluster.storage.quotas import exceeded
from devcluster.storage.store import Object, Store

NAMESPACES = ("", "namespaces")
IMMORTAL = ("default", "kube-system", "kube-public")
EVENTS = ("", "events")
QUOTAS = ("", "resourcequotas")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
CUSTOM_RESOURCE_CLEANUP = (
    "customresourcecleanup.apiextensions.k8s.io"  # controllers/definitions.py takes it off
)
FILLED_IN = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)
MODIFIED = (
    "the object has been modified; please apply your changes to the latest version and try again"
)

Document = Mapping[str, Any]


class OvertakenError(ApiStatus):
    """A 409 by another writer: a write without a resourceVersion can be retried."""

    def __init__(self, conflict: ApiStatus) -> None:
        super().__init__(conflict.code, conflict.reason, conflict.message, conflict.details)


@dataclass(frozen=True, slots=True)
class Target:
    """What a request is about, on whose behalf, and how.

    Attributes:
        kind: of the object.
        namespace: empty for cluster-scoped kinds.
        name: empty where the server is to make one.
        user: the requesting user.
        warn: takes what the user should know although the request is served.
        subresource: such as `status`.
    """

    kind: Kind
    namespace: str
    name: str
    user: User
    warn: Callable[[str], None]
    subresource: str = ""


class Registry:
    """Writes to the store by the rules of the API."""

    def __init__(self, store: Store, access: Access, now: Callable[[], datetime]) -> None:
        self._store = store
        self._access = access
        self._now = now

    @property
    def timestamp(self) -> str:
        """Now, as the API writes times."""
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    def get(self, target: Target) -> Object:
        """The stored object.

        Raises:
            ApiStatus: 404.
        """
        found = self.find(target)
        if found is None:
            raise not_found(target.kind.group, target.kind.plural, target.name)
        return found

    def find(self, target: Target) -> Object | None:
        """The stored object; None where there is none."""
        revision = self._store.get(target.kind.key, target.namespace, target.name)
        return revision.object if revision else None

    async def create(
        self,
        target: Target,
        document: Document,
        options: WriteOptions,
        applied: Object | None = None,
    ) -> Object:
        """Create an object; returns it as stored.

        Args:
            target: where; its name is that of the document.
            document: as decoded.
            options: of the request.
            applied: the document with its managed fields, where it comes from an apply.

        Raises:
            ApiStatus: whatever forbids it.
        """
        kind, strategy = target.kind, strategy_of(target.kind.key)
        if target.name:
            check_name(target, document)
        given = document.get("metadata") or {}
        self._check_version_of_new(given, applied=applied is not None)
        self.check_namespace_of(target, given)
        new = self._completed(
            kind, metadata.placed(stored_form(document, kind), namespace=target.namespace)
        )
        target = replace(target, name=new["metadata"].get("name", ""))
        if applied is None:
            new = self._tracked(target, new, None, options)
        new = await self._mutated(target, Operation.CREATE, new, None, options)
        new = metadata.for_create(
            new, namespace=target.namespace, uid=str(uuid.uuid4()), now=self.timestamp
        )
        target = replace(target, name=new["metadata"].get("name", ""))
        if kind.custom is None:
            new = strategy.begin(new)
        if kind.counts_generations:
            new["metadata"]["generation"] = 1
        if "status" in kind.subresources and kind.key != NAMESPACES:
            new.pop("status", None)
        new = self._completed(kind, new)
        self._refuse(
            kind, target.name, [*self._name_causes(target, new), *self._causes(target, new, None)]
        )
        self._check_grant(target, new, None)
        self._check_place(target)
        await self._admit(
            target,
            Operation.CREATE,
            _owned_part(kind, "", new) if kind.custom else new,
            None,
            options,
        )
        self._check_place(target)  # again: webhooks took their time
        if self._store.get(kind.key, target.namespace, target.name) is not None:
            raise self._already_exists(target)
        self._check_quotas(target)
        return new if options.dry_run else self._store_object(target, new)

    async def update(
        self,
        target: Target,
        old: Object,
        document: Document,
        options: WriteOptions,
        *,
        apply: bool = False,
    ) -> Object:
        """Replace an object; returns it as stored, or as it would be.

        Args:
            target: what.
            old: as it is stored.
            document: as it is to be, whole.
            options: of the request.
            apply: it comes from an apply, and carries its managed fields.

        Raises:
            ApiStatus: whatever forbids it.
        """
        kind = target.kind
        self._check_preconditions(target, old, document)
        new = self._completed(kind, metadata.for_update(stored_form(document, kind), old))
        if not apply:
            tracked = self._tracked(
                target, self._without_foreign_parts(target, new, old), old, options
            )
            new = metadata.with_managed_fields(new, tracked["metadata"].get("managedFields"))
        new = await self._mutated(target, Operation.UPDATE, _as_sent(new, document), old, options)
        new = self._without_foreign_parts(target, metadata.for_update(new, old), old)
        new = self._completed(kind, new)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        self._refuse(kind, target.name, self._causes(target, new, old))
        self._check_grant(target, new, old)
        new = self._with_generation(kind, new, old)
        await self._admit(target, Operation.UPDATE, new, old, options)
        self._check_not_overtaken(target, old)
        if _same(new, old):
            return old
        if (
            new["metadata"].get("deletionTimestamp")
            and not new["metadata"].get("finalizers")
            and self._may_go(kind, new)
        ):
            return self._finish(target, new, dry_run=options.dry_run)
        return new if options.dry_run else self._store_object(target, new)

    async def delete(
        self, target: Target, options: DeleteOptions, *, of_collection: bool = False
    ) -> tuple[Object, bool]:
        """Delete an object, or have it wait for its finalizers.

        Args:
            target: what.
            options: of the request.
            of_collection: the request names the collection, so that webhooks see no name.

        Returns:
            the object, and whether it is gone.

        Raises:
            ApiStatus: whatever forbids it.
        """
        if target.kind.key == NAMESPACES and target.name in IMMORTAL:
            raise forbidden("", "namespaces", target.name, "this namespace may not be deleted")
        old = self.get(target)
        self._check_delete_preconditions(target, old, options)
        request = self._request(target, Operation.DELETE, None, old, options)
        if of_collection:
            request = replace(request, name="")
        await self._access.admission.mutate(request, target.warn)
        await self._access.admission.validate(request, target.warn)
        old = self.get(target)  # again: webhooks took their time
        self._check_delete_preconditions(target, old, options)
        before = old["metadata"]
        if before.get("deletionTimestamp"):
            return old, False
        finalizers = _finalizers_for(options.propagation, before.get("finalizers") or [])
        if target.kind.key == DEFINITIONS and CUSTOM_RESOURCE_CLEANUP not in finalizers:
            finalizers = [*finalizers, CUSTOM_RESOURCE_CLEANUP]
        if not finalizers and target.kind.key != NAMESPACES:
            last = (
                old
                if options.dry_run
                else self._store.remove(target.kind.key, target.namespace, target.name).object
            )
            return last, True
        dying = self._dying(target.kind, old, finalizers)
        return (dying if options.dry_run else self._store_object(target, dying)), False

    def _dying(self, kind: Kind, old: Object, finalizers: list[str]) -> Object:
        changed = {**old["metadata"], "deletionTimestamp": self.timestamp}
        if finalizers:
            changed["finalizers"] = finalizers
        if kind.key == NAMESPACES:
            return {
                **old,
                "metadata": changed,
                "status": {**(old.get("status") or {}), "phase": "Terminating"},
            }
        if kind.key == DEFINITIONS:
            return {**old, "metadata": changed}
        changed["deletionGracePeriodSeconds"] = 0
        if changed.get("generation"):
            changed["generation"] += 1
        return {**old, "metadata": changed}

    def _may_go(self, kind: Kind, new: Object) -> bool:
        return kind.key != NAMESPACES or not (new.get("spec") or {}).get("finalizers")

    def _finish(self, target: Target, new: Object, *, dry_run: bool) -> Object:
        """The last finalizer is off: what the writer sees is the object without it."""
        if not dry_run:
            self._store.remove(target.kind.key, target.namespace, target.name)
        return new

    def _store_object(self, target: Target, new: Object) -> Object:
        stored = self._store.put(target.kind.key, new).object
        if target.kind.key == DEFINITIONS and not (stored.get("status") or {}).get("conditions"):
            return self._store.put(
                DEFINITIONS, {**stored, "status": accepted_status(stored, self.timestamp)}
            ).object
        return stored

    def _tracked(
        self, target: Target, new: Object, old: Object | None, options: WriteOptions
    ) -> Object:
        """Return the object with managedFields. A write of the main resource owns no status."""
        owned, before = _owned_part(target.kind, target.subresource, new), old
        if old is not None:
            before = _owned_part(target.kind, target.subresource, old)
        types = fields.types_of(target.kind)
        tracked = fields.track(
            before, owned, options.field_manager, types, self.timestamp, target.subresource
        )
        return {**new, "metadata": tracked["metadata"]}

    async def _mutated(
        self,
        target: Target,
        operation: Operation,
        new: Object,
        old: Object | None,
        options: WriteOptions,
    ) -> Object:
        request = self._request(target, operation, new, old, options)
        mutated = await self._access.admission.mutate(request, target.warn)
        return dict(mutated or {})

    async def _admit(
        self,
        target: Target,
        operation: Operation,
        new: Object,
        old: Object | None,
        options: WriteOptions,
    ) -> None:
        request = self._request(target, operation, new, old, options)
        await self._access.admission.validate(request, target.warn)

    def _request(
        self,
        target: Target,
        operation: Operation,
        new: Object | None,
        old: Object | None,
        options: WriteOptions | DeleteOptions,
    ) -> AdmissionRequest:
        kind = target.kind
        namespace = target.name if kind.key == NAMESPACES else target.namespace
        home = self._store.get(NAMESPACES, "", namespace)
        return AdmissionRequest(
            operation=operation,
            resource=Resource(
                kind.group,
                kind.version,
                kind.kind,
                kind.plural,
                kind.namespaced,
                self._other_versions(kind),
            ),
            name=target.name,
            namespace=namespace,
            user=target.user,
            object=new,
            old_object=old,
            subresource=target.subresource,
            namespace_labels=(home.object["metadata"].get("labels") or {}) if home else {},
            options=options.sent,
            dry_run=options.dry_run,
        )

    def _other_versions(self, kind: Kind) -> tuple[str, ...]:
        served = kind.custom.served if kind.custom is not None else ()
        return tuple(version for version in served if version != kind.version)

    def _completed(self, kind: Kind, new: Object) -> Object:
        if kind.custom is not None:
            pruned, _ = kind.custom.schema.prune(new)
            return dict(kind.custom.schema.default(pruned))
        return strategy_of(kind.key).complete(new)

    def _name_causes(self, target: Target, new: Object) -> list[FieldCause]:
        dots = target.kind.key != NAMESPACES
        if new["metadata"].get("name") and (
            target.kind.group == RBAC_GROUP or target.kind.key == EVENTS
        ):
            return []  # their own rules allow more
        return list(metadata.name_causes(new["metadata"], dots=dots))

    def _causes(self, target: Target, new: Object, old: Object | None) -> list[FieldCause]:
        kind = target.kind
        causes = list(
            metadata.metadata_causes(new["metadata"])
            if old is None
            else metadata.update_causes(new["metadata"], old["metadata"])
        )
        if kind.custom is not None:
            judge = (
                kind.custom.schema.validate_status
                if target.subresource == "status"
                else kind.custom.schema.validate
            )
            return [*causes, *judge(new, old)]
        if kind.key == EVENTS:
            return [*causes, *event_causes(new, old, strict=bool(kind.group))]
        return [*causes, *strategy_of(kind.key).causes(new, old)]

    def _refuse(self, kind: Kind, name: str, causes: list[FieldCause]) -> None:
        if causes:
            group = (
                "" if kind.key == EVENTS else kind.group
            )  # all events are judged as those of the core group
            raise invalid(group, kind.kind, name, causes)

    def _check_grant(self, target: Target, new: Object, old: Object | None) -> None:
        if target.kind.group == RBAC_GROUP:
            check_grant(self._access.authorizer, target.user, new, old)

    def _check_version_of_new(self, given: Document, *, applied: bool) -> None:
        """Refuse a version on POST, and an unreadable one in an apply that creates."""
        version = given.get("resourceVersion") or "0"
        if applied:
            _check_readable(version)
        elif version_problem(version) is None and int(version):
            raise ApiStatus(500, "", "resourceVersion should not be set on objects to be created")

    def without_version(self, document: Document) -> dict[str, Any]:
        """Return what an update creates: of its version only the form counts.

        Raises:
            ApiStatus: 500, the version cannot be read.
        """
        given = document.get("metadata") or {}
        _check_readable(given.get("resourceVersion") or "0")
        return {
            **document,
            "metadata": {key: value for key, value in given.items() if key != "resourceVersion"},
        }

    def check_namespace_of(self, target: Target, given: Document) -> None:
        """Refuse a document of another namespace than that of the path.

        Raises:
            ApiStatus: 400.
        """
        if (
            target.kind.namespaced
            and (given.get("namespace") or target.namespace) != target.namespace
        ):
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on "
                "the request"
            )

    def _check_place(self, target: Target) -> None:
        """Into a namespace that is not there, or is on its way out, nothing is created."""
        if not target.kind.namespaced:
            return
        namespace = self._store.get(NAMESPACES, "", target.namespace)
        if namespace is None:
            raise not_found("", "namespaces", target.namespace)
        if namespace.object["metadata"].get("deletionTimestamp"):
            why = (
                f"unable to create new content in namespace {target.namespace} because it is "
                "being terminated"
            )
            refusal = forbidden(target.kind.group, target.kind.plural, target.name, why)
            message = f"namespace {target.namespace} is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": message,
                "field": "metadata.namespace",
            }
            refusal.details = {**(refusal.details or {}), "causes": [cause]}
            raise refusal

    def _check_quotas(self, target: Target) -> None:
        found = (
            [revision.object for revision in self._store.items(QUOTAS, target.namespace)]
            if target.namespace
            else []
        )
        if not found:
            return
        kind = target.kind
        why = exceeded(found, *kind.key, len(self._store.items(kind.key, target.namespace)))
        if why is not None:
            raise forbidden(kind.group, kind.plural, target.name, why)

    def _check_preconditions(self, target: Target, old: Object, document: Document) -> None:
        given, before = document.get("metadata") or {}, old["metadata"]
        check_name(target, document)
        self.check_namespace_of(target, given)
        version = given.get("resourceVersion")
        _check_readable(version or "0")
        if version and not int(version):
            version = ""  # 0 says nothing
        if not version and not target.kind.unconditional_update:
            cause = FieldCause(
                "FieldValueInvalid",
                "metadata.resourceVersion",
                "Invalid value: 0: must be specified for an update",
            )
            raise invalid(target.kind.group, target.kind.plural, target.name, [cause])
        if version and version != before["resourceVersion"]:
            raise self.conflict(target)

    def _check_not_overtaken(self, target: Target, old: Object) -> None:
        """Refuse the write if another client has written while webhooks were called."""
        current = self._store.get(target.kind.key, target.namespace, target.name)
        if current is None or current.object is not old:
            raise OvertakenError(self.conflict(target))

    def conflict(self, target: Target, why: str = MODIFIED) -> ApiStatus:
        """409: the object is not what the writer thinks."""
        kind = target.kind
        message = (
            f"Operation cannot be fulfilled on {qualified(kind.group, kind.plural)} "
            f'"{target.name}": {why}'
        )
        details = {"name": target.name, "kind": kind.plural} | (
            {"group": kind.group} if kind.group else {}
        )
        return ApiStatus(409, "Conflict", message, details)

    def check_uid(self, target: Target, old: Object, document: Document) -> None:
        """Refuse a PUT for another object of the same name as a conflict."""
        wanted, found = (document.get("metadata") or {}).get("uid"), old["metadata"]["uid"]
        if wanted and wanted != found:
            where = f"/registry/{target.kind.plural}/{target.namespace}/{target.name}"
            why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}"
            storage = (
                f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, "
                f"AdditionalErrorMsg: {why}"
            )
            raise self.conflict(target, storage)

    def _check_delete_preconditions(
        self, target: Target, old: Object, options: DeleteOptions
    ) -> None:
        kind, found = target.kind, old["metadata"]
        name = f'{qualified(kind.group, kind.kind)} "{target.name}"'
        why = ""
        if options.uid is not None and options.uid != found["uid"]:
            why = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record "
                f"({found['uid']}). "
            )
            why += "The object might have been deleted and then recreated"
        elif (
            options.resource_version is not None
            and options.resource_version != found["resourceVersion"]
        ):
            why = (
                f"the ResourceVersion in the precondition ({options.resource_version}) does not "
                "match the ResourceVersion in "
            )
            why += f"record ({found['resourceVersion']}). The object might have been modified"
        if why:
            details = {"name": target.name, "kind": kind.kind} | (
                {"group": kind.group} if kind.group else {}
            )
            raise ApiStatus(
                409, "Conflict", f"Operation cannot be fulfilled on {name}: {why}", details
            )

    def _already_exists(self, target: Target) -> ApiStatus:
        kind = target.kind
        old = self._store.get(kind.key, target.namespace, target.name)
        dying = old is not None and old.object["metadata"].get("deletionTimestamp")
        message = f'{qualified(kind.group, kind.plural)} "{target.name}" already exists'
        details = {"name": target.name, "kind": kind.plural} | (
            {"group": kind.group} if kind.group else {}
        )
        return ApiStatus(
            409,
            "AlreadyExists",
            f"object is being deleted: {message}" if dying else message,
            details,
        )

    def _without_foreign_parts(self, target: Target, new: Object, old: Object) -> Object:
        """The status is written through its subresource only, and the rest is not."""
        kind = target.kind
        if target.subresource == "status":
            taken = {**old, "status": new.get("status")}
            if taken["status"] is None:
                del taken["status"]
            if kind.custom is None:
                taken["metadata"] = {
                    **new["metadata"],
                    "finalizers": old["metadata"].get("finalizers"),
                }
                if taken["metadata"]["finalizers"] is None:
                    del taken["metadata"]["finalizers"]
            elif "managedFields" in new["metadata"]:
                taken["metadata"] = {
                    **old["metadata"],
                    "managedFields": new["metadata"]["managedFields"],
                }
            return taken
        kept = (
            {"status": old["status"]} if "status" in kind.subresources and "status" in old else {}
        )
        if "status" in kind.subresources:
            new = {key: value for key, value in new.items() if key != "status"}
        if kind.key == NAMESPACES and target.subresource != "finalize":
            kept["spec"] = old.get("spec")
        return {**new, **kept}

    def _with_generation(self, kind: Kind, new: Object, old: Object) -> Object:
        if not kind.counts_generations:
            return new
        changed = any(
            new.get(key) != old.get(key)
            for key in {*new, *old}
            - {"metadata", "apiVersion", "kind"}
            - ({"status"} if "status" in kind.subresources else set())
        )
        generation = old["metadata"].get("generation", 1) + changed
        return {**new, "metadata": {**new["metadata"], "generation": generation}}


def _check_readable(version: str) -> None:
    if (problem := version_problem(version)) is not None:
        raise ApiStatus(500, "", problem.partition(": ")[2].partition(": ")[2])


def has_own_status(kind: Kind, subresource: str) -> bool:
    """Whether a write leaves the status alone, because that has a subresource of its own."""
    return not subresource and "status" in kind.subresources


def _owned_part(kind: Kind, subresource: str, document: Object) -> Object:
    """Return what a write can own."""
    if not has_own_status(kind, subresource):
        return document
    return {key: value for key, value in document.items() if key != "status"}


def _as_sent(new: Object, document: Document) -> Object:
    """Mutating webhooks see an update without what the server fills in afterwards."""
    given = document.get("metadata") or {}
    metadata = {
        key: value
        for key, value in new["metadata"].items()
        if given.get(key) or key not in FILLED_IN
    }
    return {**new, "metadata": metadata}


def check_name(target: Target, document: Document) -> None:
    """The name in a body must be that of the path.

    Raises:
        ApiStatus: 400.
    """
    name = (document.get("metadata") or {}).get("name")
    if not name:
        why = "was undeterminable: name must be provided"
        raise bad_request(f"the name of the object ({target.name} based on URL) {why}")
    if name != target.name:
        raise bad_request(
            f"the name of the object ({name}) does not match the name on the URL ({target.name})"
        )


def _finalizers_for(propagation: str | None, present: list[str]) -> list[str]:
    kept = [name for name in present if name not in ("orphan", "foregroundDeletion")]
    if propagation == "Orphan":
        return [*kept, "orphan"]
    if propagation == "Foreground":
        return [*kept, "foregroundDeletion"]
    return present if propagation is None else kept


def _same(new: Object, old: Object) -> bool:
    """Whether a write changes anything but the times in managedFields."""
    return _without_managed(new) == _without_managed(old) and _managers(new) == _managers(old)


def _without_managed(obj: Object) -> Object:
    return {
        **obj,
        "metadata": {
            key: value for key, value in obj["metadata"].items() if key != "managedFields"
        },
    }


def _managers(obj: Object) -> list[Any]:
    entries = obj["metadata"].get("managedFields") or []
    return [{key: value for key, value in entry.items() if key != "time"} for entry in entries]
