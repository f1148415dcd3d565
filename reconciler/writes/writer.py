"""One planned write as requests to the API server, each with its precondition, and its answer into the cache.

A PUT with the resourceVersion the plan saw, a delete with UID and resourceVersion: whoever was faster wins, and we look again. Answers are
asked for as metadata only. When the world was not as the cache said, the truth is read before the error goes up, so that the next plan is made
from it even while a watch lags. `applier.py` calls this and decides about retrying.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import structlog

from configmapsync.copies import CopyRecord, marks_only
from configmapsync.names import NamespacedName
from configmapsync.plans import Verb, Write
from configmapsync.rendering import CopyTemplate, is_up_to_date, release_patch, render
from kube.client import CONFIGMAPS, Client
from kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from kube.rbac import Rule
from kube.wire import decode_object
from reconciler.known.caches import Caches
from reconciler.known.configmaps import (
    ConfigMapVersion,
    read_copy,
    read_metadata,
    read_whole_copy,
    read_written,
)
from reconciler.known.sources import UNREAD
from reconciler.writes.failures import describe

WRITES = (Rule("configmaps", ("create", "update", "patch", "delete"), why="copies"),)
READS = (Rule("configmaps", ("get",), why="what stands in the way of a copy"),)
MANAGER = "configmapsync"
# What a client may set on an object that it creates.
RESTORED_METADATA = frozenset(
    {"name", "namespace", "labels", "annotations", "finalizers", "ownerReferences", "generateName"}
)


class Writer:
    """Carries out single writes."""

    def __init__(self, client: Client, caches: Caches) -> None:
        self._client = client
        self._caches = caches
        self._log = structlog.get_logger("writer")

    async def write(self, sync: NamespacedName, write: Write) -> bool:
        """Carry `write` out on behalf of `sync`.

        Returns:
            Whether what was asked for stands now. It does not where the API server stored something else: an admission webhook changes
            what is written.

        Raises:
            ApiError: it was refused, or may not have happened. The caches hold the newest truth where it was out of date.
        """
        try:
            answer = await self._write(write)
        except (AlreadyExists, Conflict):
            await self._look_again(sync, write)
            raise
        except NotFound:
            if write.record is None:
                raise  # a create: the namespace is not there
            self._forget(write.key, write.record)
            if write.template is not None:
                raise
            return True
        if write.template is None or answer is None:
            return True
        return await self._keep(sync, write, write.template, answer)

    async def _write(self, write: Write) -> bytes | None:
        """Send it; returns the answer where it tells of a copy."""
        match write:
            case Write(verb=Verb.CREATE, key=key, template=CopyTemplate() as template):
                return await self._create(key, render(template, key.namespace, None))
            case Write(
                verb=Verb.UPDATE | Verb.ADOPT,
                key=key,
                record=CopyRecord() as record,
                template=CopyTemplate() as template,
            ):
                return await self._update(key, record, template, adopt=write.verb is Verb.ADOPT)
            case Write(
                verb=Verb.RECREATE,
                key=key,
                record=CopyRecord() as record,
                template=CopyTemplate() as template,
            ):
                return await self._recreate(key, record, template)
            case Write(verb=Verb.DELETE, key=key, record=CopyRecord() as record):
                await self._delete(key, record)
            case Write(verb=Verb.RELEASE, key=key, record=CopyRecord() as record):
                await self._release(key, record)
            case _:
                raise ValueError(f"a plan never holds such a write: {write.verb} {write.key}")
        return None

    async def _create(
        self, key: NamespacedName, configmap: Mapping[str, Any], *, dry_run: bool = False
    ) -> bytes:
        return await self._client.create(
            CONFIGMAPS, key.namespace, configmap, metadata_only=True, dry_run=dry_run
        )

    async def _update(
        self, key: NamespacedName, record: CopyRecord, template: CopyTemplate, *, adopt: bool
    ) -> bytes:
        configmap = render(template, key.namespace, await self._whole(key, record), adopted=adopt)
        answer = await self._client.put(CONFIGMAPS, *key, configmap, metadata_only=True)
        self._caches.blockers.cleared(key)
        return answer

    async def _recreate(
        self, key: NamespacedName, record: CopyRecord, template: CopyTemplate
    ) -> bytes:
        """Replace an immutable copy. The old one goes only after the API server has said that it would admit the new one.

        The question is a dry-run create. It passes every admission before the name is found to be taken, so the
        answer "already exists" means "admitted". Where the real create fails all the same, the old copy is put back.
        """
        before = decode_object(await self._client.get(CONFIGMAPS, *key), "the ConfigMap")
        _require_version(record, before["metadata"])
        whole = read_whole_copy(msgspec.json.encode(before))
        configmap = render(template, key.namespace, whole, recreated=True)
        with suppress(AlreadyExists):
            await self._create(key, configmap, dry_run=True)
        await self._delete(key, record)
        try:
            return await self._create(key, configmap)
        except AlreadyExists:
            raise  # a finalizer of others still holds the old one, or another client was faster
        except ApiError:
            await self._put_back(key, before)
            raise

    async def _put_back(self, key: NamespacedName, before: Mapping[str, Any]) -> None:
        metadata = {
            field: value
            for field, value in before["metadata"].items()
            if field in RESTORED_METADATA
        }
        content = {
            part: before[part] for part in ("data", "binaryData", "immutable") if part in before
        }
        try:
            await self._create(
                key, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, **content}
            )
        except AlreadyExists:
            return  # the create whose answer was lost did happen
        except ApiError as error:
            self._log.error(
                "cannot restore an immutable copy",
                namespace=key.namespace,
                name=key.name,
                error=describe(error),
            )

    async def _whole(self, key: NamespacedName, record: CopyRecord) -> CopyRecord:
        """Return the record with all metadata; it is read again where it was too large to be cached.

        Raises:
            Conflict: the object has another version by now.
        """
        if record.applied is None:
            return record
        whole = read_metadata(await self._client.get(CONFIGMAPS, *key, metadata_only=True), record)
        _require_version(record, {"uid": whole.uid, "resourceVersion": whole.resource_version})
        return whole

    async def _delete(self, key: NamespacedName, record: CopyRecord) -> None:
        await self._client.delete(
            CONFIGMAPS, *key, uid=record.uid, resource_version=record.resource_version
        )
        self._forget(key, record)

    async def _release(self, key: NamespacedName, record: CopyRecord) -> None:
        patch = release_patch(await self._whole(key, record))
        await self._client.patch(CONFIGMAPS, *key, patch, metadata_only=True)
        self._forget(key, record)

    async def _look_again(self, sync: NamespacedName, write: Write) -> None:
        """Read what really stands there: one of ours that the cache does not know yet, or somebody else's."""
        key = write.key
        self._caches.blockers.expect(key, sync)
        if (
            self._caches.versions.get(*key) is None
        ):  # held from before the read on, so that a deletion during it is not missed
            self._caches.versions.record(ConfigMapVersion(*key, UNREAD))
        try:
            record = read_copy(await self._client.get(CONFIGMAPS, *key))
        except NotFound:
            self._forget(key, write.record)
            self._caches.blockers.cleared(key)
            held = self._caches.versions.get(*key)
            if held is not None and held.resource_version == UNREAD:
                self._caches.versions.forget(*key)
            return
        if record.managed:
            self._caches.copies.learn(record)  # it may be another sync's
            self._caches.blockers.cleared(key)
        else:
            self._forget(key, record)
            self._caches.blockers.found(marks_only(record))

    async def _keep(
        self, sync: NamespacedName, write: Write, template: CopyTemplate, answer: bytes
    ) -> bool:
        """Put into the cache what was stored; returns whether it is what was sent.

        The answer does not hold the content. That of a version which the cache holds already is known: the watch was faster, or the write
        changed nothing, for a webhook made of it what was there before. Of any other it is taken to be ours until the watch shows it.
        """
        stored = read_written(answer, template.digest, immutable=template.content.immutable)
        held = self._caches.copy_at(write.key)
        if held is not None and held.resource_version == stored.resource_version:
            return is_up_to_date(held, template)
        if not stored.managed:
            await self._look_again(sync, write)  # our labels were taken off on the way
            return False
        self._caches.copies.record(stored)
        self._caches.blockers.stop_waiting(write.key, sync)
        return is_up_to_date(stored, template)

    def _forget(self, key: NamespacedName, gone: CopyRecord | None) -> None:
        """Take out what is gone, up to the version that was seen: a namesake made meanwhile stays."""
        if gone is not None:
            self._caches.copies.forget(*key, gone.resource_version)


def _require_version(record: CopyRecord, metadata: Mapping[str, Any]) -> None:
    """Raise what the API server answers for a stale precondition."""
    if (metadata["uid"], metadata["resourceVersion"]) != (record.uid, record.resource_version):
        raise Conflict(
            f"{record.key} was changed after it was planned", status=409, reason="Conflict"
        )
