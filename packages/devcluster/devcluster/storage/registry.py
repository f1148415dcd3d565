"""The order of every write, from the decoded object to the store.

Create: default, record managedFields, mutate, prune and default again, validate, call
validating webhooks, store. An update does the same with the old object. A delete
checks preconditions and finalizers. A write without a change stores nothing; a dry
run skips only the last step.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from devcluster import fields
from devcluster.access.control import Access
from devcluster.access.escalation import check_grant
from devcluster.access.rbac import RBAC_GROUP
from devcluster.admission.request import AdmissionRequest, Operation, Resource
from devcluster.errors import (
    ApiStatus,
    FieldCause,
    forbidden,
    invalid,
    not_found,
    qualified,
)
from devcluster.http.options import DeleteOptions, WriteOptions
from devcluster.output.representation import stored_form
from devcluster.schema import metadata
from devcluster.schema.crds import accepted_status
from devcluster.schema.event_rules import event_causes
from devcluster.schema.kinds import Kind
from devcluster.schema.strategies import strategy_of
from devcluster.storage.parts import (
    NAMESPACES,
    as_sent,
    finalizers_for,
    owned_part,
    same,
    with_generation,
    without_foreign_parts,
)
from devcluster.storage.preconditions import (
    check_delete_preconditions,
    check_name,
    check_namespace_of,
    check_preconditions,
    check_version_of_new,
    conflict,
)
from devcluster.storage.quotas import exceeded
from devcluster.storage.store import Object, Store
from devcluster.storage.target import Target

IMMORTAL = ("default", "kube-system", "kube-public")
EVENTS = ("", "events")
QUOTAS = ("", "resourcequotas")
DEFINITIONS = ("apiextensions.k8s.io", "customresourcedefinitions")
CUSTOM_RESOURCE_CLEANUP = (
    "customresourcecleanup.apiextensions.k8s.io"  # controllers/definitions.py takes it off
)

Document = Mapping[str, Any]


class OvertakenError(ApiStatus):
    """A 409 by another writer: a write without a resourceVersion can be retried."""

    def __init__(self, conflict: ApiStatus) -> None:
        super().__init__(conflict.code, conflict.reason, conflict.message, conflict.details)


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
        check_version_of_new(given, applied=applied is not None)
        check_namespace_of(target, given)
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
            owned_part(kind, "", new) if kind.custom else new,
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
        check_preconditions(target, old, document)
        new = self._completed(kind, metadata.for_update(stored_form(document, kind), old))
        if not apply:
            tracked = self._tracked(target, without_foreign_parts(target, new, old), old, options)
            new = metadata.with_managed_fields(new, tracked["metadata"].get("managedFields"))
        new = await self._mutated(target, Operation.UPDATE, as_sent(new, document), old, options)
        new = without_foreign_parts(target, metadata.for_update(new, old), old)
        new = self._completed(kind, new)
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        self._refuse(kind, target.name, self._causes(target, new, old))
        self._check_grant(target, new, old)
        new = with_generation(kind, new, old)
        await self._admit(target, Operation.UPDATE, new, old, options)
        self._check_not_overtaken(target, old)
        if same(new, old):
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
        check_delete_preconditions(target, old, options)
        request = self._request(target, Operation.DELETE, None, old, options)
        if of_collection:
            request = replace(request, name="")
        await self._access.admission.mutate(request, target.warn)
        await self._access.admission.validate(request, target.warn)
        old = self.get(target)  # again: webhooks took their time
        check_delete_preconditions(target, old, options)
        before = old["metadata"]
        if before.get("deletionTimestamp"):
            return old, False
        finalizers = finalizers_for(options.propagation, before.get("finalizers") or [])
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
        owned, before = owned_part(target.kind, target.subresource, new), old
        if old is not None:
            before = owned_part(target.kind, target.subresource, old)
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

    def _check_not_overtaken(self, target: Target, old: Object) -> None:
        """Refuse the write if another client has written while webhooks were called."""
        current = self._store.get(target.kind.key, target.namespace, target.name)
        if current is None or current.object is not old:
            raise OvertakenError(conflict(target))

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
