"""Read from a cluster what the checks need, and let its API server judge each sync.

`plugin/commands/check.py` calls it with `--cluster`. A server-side dry run applies the
rights of the user, and the CRD and webhook that are installed. It changes nothing.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.admission_checks import MOST_LISTED
from configmapsync.content import MOST_SOURCE_KEYS
from configmapsync.fielderrors import ErrorKind
from configmapsync.names import (
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    NamespacedName,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.client import CONFIGMAPS
from kube.errors import ApiError, Forbidden, NotFound, Retry
from kube.wire import PartialObject, decode_as
from plugin.checks.findings import Finding
from plugin.checks.manifests import Manifest
from plugin.checks.references import Known
from plugin.reading import Reader, keys_of

FIELD_MANAGER = "kubectl-configmapsync"
APPLY_PATCH = "application/apply-patch+yaml"
PARALLEL_REQUESTS = 8

Checked = tuple[Manifest, ConfigMapSync]


async def ask(reader: Reader, checked: list[Checked]) -> tuple[Known, list[Finding]]:
    """Return what the checks need from a cluster, and why its API server rejects syncs.

    A ConfigMap that the user may not read stays unknown. A dry run that is refused is a finding,
    except for a missing namespace, which the files may define.

    Raises:
        MissingApiError: the cluster does not serve ConfigMapSyncs.
        ApiError: another object could not be read, or the API server could not be asked.
    """
    known = Known(namespaces=await reader.namespaces(), complete=True)
    known.syncs = {
        record.key: record.sync for record in await reader.syncs() if record.sync is not None
    }
    await _read_configmaps(reader, known, [sync for _, sync in checked])
    step = "asking the API server to admit each sync"
    answers = await reader.each(step, partial(_dry_run, reader), checked, PARALLEL_REQUESTS)
    return known, [finding for findings in answers for finding in findings]


async def _read_configmaps(reader: Reader, known: Known, syncs: list[ConfigMapSync]) -> None:
    """Read sources, with their keys if a sync selects some, and the first destinations."""
    wanted = {key for sync in syncs for key in (sync.source, *_first_destinations(sync, known))}
    keyed = {sync.source for sync in syncs if sync.spec.keys}

    async def read_one(key: NamespacedName) -> None:
        try:
            answer = await reader.get(CONFIGMAPS, *key, metadata_only=key not in keyed)
        except Forbidden:
            return  # the dry run reports what the user lacks
        if answer is None:
            known.missing.add(key)
            return
        labels = decode_as(answer, PartialObject, "the ConfigMap").metadata.labels or {}
        found = keys_of(answer) if key in keyed else None
        too_many = found is not None and len(found) > MOST_SOURCE_KEYS
        known.configmaps[key] = None if too_many else found
        if labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE:
            known.managed.add(key)

    step = "reading sources and destinations"
    await reader.each(step, read_one, sorted(wanted), PARALLEL_REQUESTS)


def _first_destinations(sync: ConfigMapSync, known: Known) -> Iterator[NamespacedName]:
    names = sorted(
        one.name for one in Selector.of(sync, PROTECTED_NAMESPACES).among(known.namespaces)
    )
    return (NamespacedName(name, sync.destination_name) for name in names[:MOST_LISTED])


async def _dry_run(reader: Reader, checked: Checked) -> list[Finding]:
    """Return why the API server or one of its webhooks would refuse a sync."""
    manifest, sync = checked
    try:
        await reader.connection.request(
            "PATCH",
            CONFIGMAPSYNCS.path(*sync.key),
            params={
                "dryRun": "All",
                "fieldManager": FIELD_MANAGER,
                "fieldValidation": "Strict",
                "force": "true",
            },
            body=msgspec.json.encode(_document(manifest, sync)),
            content_type=APPLY_PATCH,
        )
    except NotFound:
        return []  # the namespace is in the files only
    except ApiError as error:
        if error.retry is Retry.TRANSIENT:
            raise
        causes = error.causes or (("", "", f"the API server rejects it: {error.message}"),)
        return [
            manifest.finding(field, message)
            for reason, field, message in causes
            if reason != ErrorKind.NOT_FOUND  # a missing namespace may be in the files
        ]
    return []


def _document(manifest: Manifest, sync: ConfigMapSync) -> dict[str, Any]:
    """Return the object as the file has it, with the fields that address it."""
    document: dict[str, Any] = manifest.node.plain()
    document["metadata"] = manifest.metadata | sync.key._asdict()
    document["metadata"].pop("generateName", None)
    document.pop("status", None)
    return document
