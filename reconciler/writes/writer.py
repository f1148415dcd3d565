"""Send one planned write to the API server, and put its answer into the cache.

`applier.py` calls it and decides about retries. Every write but a create carries the
version that the plan saw; if it is refused, or a name is taken, the live object is read
into the cache, so that the next plan is right even if the watch lags. A write must not
change an object that was not planned.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import structlog

from configmapsync.copies import CopyRecord, abridge, marks_only
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.rendering import CopyTemplate, is_up_to_date, release_patch, render
from kube.client import CONFIGMAPS, Client
from kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kube.rbac import Rule
from kube.wire import decode_object
from reconciler.known.caches import Caches
from reconciler.known.configmaps import read_copy, read_metadata, read_whole_copy
from reconciler.writes.failures import describe

WRITES = (Rule("configmaps", ("create", "update", "patch", "delete"), why="writes copies"),)
READS = (Rule("configmaps", ("get",), why="reads what is in the way of a copy"),)
MANAGER = "configmapsync"
# Metadata that a client may set on an object that it creates.
RESTORED_METADATA = frozenset(
    {"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName"}
)


class Writer:
    """Sends single writes."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches
        self._log = structlog.get_logger("writer")

    async def write(self, sync: NamespacedName, write: Write) -> bool:
        """Carry out `write` for `sync`.

        Returns:
            Whether the stored object is the planned one. An admission webhook can change it.

        Raises:
            ApiError: the write failed, or got no answer. If the plan was stale, the cache holds the
                live object now.
        """
        with self._caches.copies.writing(*write.key):
            try:
                answer = await self._send(write)
            except (AlreadyExists, Conflict):
                await self._read_live(sync, write)
                raise
            except NotFound:
                if write.record is None:
                    raise  # a create, so that the namespace is missing
                self._forget(write.record)
                if write.template is not None:
                    raise
                return True
            if write.template is None or answer is None:
                return True
            return await self._keep(sync, write, write.template, answer)

    async def _send(self, write: Write) -> bytes | None:
        """Send the request; return the answer if it describes a copy."""
        match write.verb, write.record, write.template:
            case Verb.CREATE, None, CopyTemplate() as template:
                return await self._create(write.key, render(template, write.key.namespace, None))
            case (
                Verb.UPDATE | Verb.ADOPT as verb,
                CopyRecord() as record,
                CopyTemplate() as template,
            ):
                return await self._update(record, template, adopt=verb is Verb.ADOPT)
            case Verb.RECREATE, CopyRecord() as record, CopyTemplate() as template:
                return await self._recreate(record, template)
            case Verb.DELETE, CopyRecord() as record, None:
                await self._delete(record)
            case Verb.RELEASE, CopyRecord() as record, None:
                await self._release(record)
            case _:
                raise ValueError(f"a plan never holds such a write: {write.verb} {write.key}")
        return None

    async def _create(
        self, key: NamespacedName, configmap: Mapping[str, Any], *, dry_run: bool = False
    ) -> bytes:
        return await self._client.create(
            CONFIGMAPS, key.namespace, configmap, metadata_only=True, dry_run=dry_run
        )

    async def _update(self, record: CopyRecord, template: CopyTemplate, *, adopt: bool) -> bytes:
        configmap = render(template, record.namespace, await self._whole(record), adopted=adopt)
        answer = await self._client.put(CONFIGMAPS, *record.key, configmap, metadata_only=True)
        self._caches.blockers.cleared(record.key)
        return answer

    async def _recreate(self, record: CopyRecord, template: CopyTemplate) -> bytes:
        """Replace an immutable copy, if the API server would admit the new one.

        A dry-run create passes every admission before the API server finds that the name is taken,
        so the answer "already exists" means "admitted". If another error stops the create that
        follows the delete, the old copy is created again; a failure of that is only logged.
        """
        key = record.key
        before = await self._client.get(CONFIGMAPS, *key)
        whole = read_whole_copy(before)
        _require_version(record, whole)
        configmap = render(template, key.namespace, whole, recreated=True)
        with suppress(AlreadyExists):
            await self._create(key, configmap, dry_run=True)
        await self._delete(record)
        try:
            return await self._create(key, configmap)
        except AlreadyExists:
            raise  # a finalizer still holds the old copy, or another client created one
        except ApiError:
            await self._restore(key, decode_object(before, "the ConfigMap"))
            raise

    async def _restore(self, key: NamespacedName, before: Mapping[str, Any]) -> None:
        metadata = {
            field: value
            for field, value in before["metadata"].items()
            if field in RESTORED_METADATA
        }
        try:
            await self._create(key, {**before, "metadata": metadata})
        except AlreadyExists:
            return  # the create succeeded although its answer was lost
        except ApiError as error:
            self._log.error(
                "cannot restore an immutable copy", error=describe(error), **key._asdict()
            )

    async def _whole(self, record: CopyRecord) -> CopyRecord:
        """Return the record with all metadata, read again if it was too large for the cache.

        Raises:
            Conflict: the object has changed since the plan.
        """
        if record.applied is None:
            return record
        answer = await self._client.get(CONFIGMAPS, *record.key, metadata_only=True)
        whole = read_metadata(answer, record.digest, immutable=record.immutable)
        _require_version(record, whole)
        return whole

    async def _delete(self, record: CopyRecord) -> None:
        await self._client.delete(
            CONFIGMAPS, *record.key, uid=record.uid, resource_version=record.resource_version
        )
        self._forget(record)

    async def _release(self, record: CopyRecord) -> None:
        patch = release_patch(await self._whole(record))
        await self._client.patch(CONFIGMAPS, *record.key, patch, metadata_only=True)
        self._forget(record)

    async def _read_live(self, sync: NamespacedName, write: Write) -> None:
        """Read the live object into the cache: a newer copy, or a blocker."""
        key = write.key
        self._caches.blockers.expect(key, sync)
        self._caches.expect_version(key)
        try:
            record = read_copy(await self._client.get(CONFIGMAPS, *key))
        except NotFound:
            if write.record is not None:
                self._forget(write.record)
            self._caches.blockers.cleared(key)
            self._caches.forget_expected(key)
            return
        if record.managed:
            self._caches.copies.learn(record)  # possibly of another sync
            self._caches.forget_expected(key)
            self._caches.blockers.cleared(key)
        else:
            self._forget(record)
            self._caches.blockers.found(marks_only(record))

    async def _keep(
        self, sync: NamespacedName, write: Write, template: CopyTemplate, answer: bytes
    ) -> bool:
        """Put the stored copy into the cache; return whether it is the planned one.

        The answer does not hold the content. If the cache has the version already, its record is
        right: the watch was faster, or a webhook turned the write into no change. Otherwise the
        content is assumed to be as sent until the watch shows it.
        """
        immutable = template.content.immutable
        stored = abridge(read_metadata(answer, template.digest, immutable=immutable))
        cached = self._caches.copy_at(write.key)
        if cached is not None and cached.resource_version == stored.resource_version:
            return is_up_to_date(cached, template)
        if not stored.managed:
            await self._read_live(sync, write)  # an admission webhook removed the label
            return False
        self._caches.copies.record(stored)
        self._caches.blockers.stop_waiting(write.key, sync)
        return is_up_to_date(stored, template)

    def _forget(self, gone: CopyRecord) -> None:
        """Drop a deleted or released copy from the cache; a newer one of that name stays."""
        self._caches.copies.forget(*gone.key, gone.resource_version)


def _require_version(planned: CopyRecord, live: CopyRecord) -> None:
    """Raise `Conflict`, as the API server does, if the object is not the planned version."""
    if (live.uid, live.resource_version) != (planned.uid, planned.resource_version):
        raise Conflict(
            f"{planned.key} changed after the plan was made", status=409, reason="Conflict"
        )
