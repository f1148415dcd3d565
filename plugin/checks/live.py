"""Read from a cluster what the checks need, and let its API server judge each sync.

`plugin/commands/check.py` calls it with `--cluster`. A server-side dry run applies the
rights of the user, and the CRD and webhook that are installed. It changes nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.admission_checks import MOST_LISTED
from configmapsync.content import MOST_SOURCE_KEYS
from configmapsync.names import (
    MANAGED_BY_LABEL,
    MANAGED_BY_VALUE,
    PROTECTED_NAMESPACES,
    NamespacedName,
)
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.client import CONFIGMAPS
from kube.errors import ApiError, Forbidden, NotFound, Unauthorized, Unreachable
from kube.wire import decode_partial, decoding
from plugin.checks.findings import Finding, Severity
from plugin.checks.manifests import Manifest
from plugin.checks.references import Known
from plugin.reading import Reader, in_parallel, keys_of

FIELD_MANAGER = "kubectl-configmapsync"
APPLY_PATCH = "application/apply-patch+yaml"
PARALLEL_REQUESTS = 8

Checked = tuple[Manifest, ConfigMapSync]


async def ask(reader: Reader, checked: list[Checked]) -> tuple[Known, list[Finding]]:
    """Return what a cluster has that matters to syncs, and what its API server says to each.

    Raises:
        MissingApiError: the cluster does not serve ConfigMapSyncs.
        ApiError: an object could not be read, or the API server could not be asked.
    """
    known = await _read_known(reader, [sync for _, sync in checked])
    reader.progress.step("asking the API server to admit each sync")

    async def dry_run(one: Checked) -> list[Finding]:
        findings = await _dry_run(reader, *one)
        reader.progress.did()
        return findings

    answers = await in_parallel(dry_run, checked, PARALLEL_REQUESTS)
    return known, [finding for findings in answers for finding in findings]


async def _read_known(reader: Reader, syncs: Iterable[ConfigMapSync]) -> Known:
    """Return the namespaces and syncs of a cluster, and the ConfigMaps that matter to syncs."""
    known = Known(namespaces=await reader.namespaces(), complete=True)
    known.syncs = {
        record.key: record.sync for record in await reader.syncs() if record.sync is not None
    }
    reader.progress.step("reading sources and destinations")
    wanted = {
        key: False for sync in syncs for key in (sync.source, *_first_destinations(sync, known))
    }
    wanted |= {sync.source: True for sync in syncs if sync.spec.keys}

    async def read_one(key: NamespacedName) -> None:
        await _read_configmap(reader, known, key, with_keys=wanted[key])

    await in_parallel(read_one, sorted(wanted), PARALLEL_REQUESTS)
    return known


def _first_destinations(sync: ConfigMapSync, known: Known) -> Iterator[NamespacedName]:
    names = sorted(
        one.name for one in Selector.of(sync, PROTECTED_NAMESPACES).among(known.namespaces)
    )
    return (NamespacedName(name, sync.destination_name) for name in names[:MOST_LISTED])


async def _read_configmap(
    reader: Reader, known: Known, key: NamespacedName, *, with_keys: bool
) -> None:
    try:
        answer = await reader.client.get(CONFIGMAPS, *key, metadata_only=not with_keys)
    except NotFound:
        known.missing.add(key)
        return
    except Forbidden:
        return  # the dry run reports what the user lacks
    with decoding("the ConfigMap"):
        labels = decode_partial(answer).metadata.labels or {}
    found = keys_of(answer) if with_keys else None
    too_many = found is not None and len(found) > MOST_SOURCE_KEYS
    known.configmaps[key] = None if too_many else found
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE:
        known.managed.add(key)


async def _dry_run(reader: Reader, manifest: Manifest, sync: ConfigMapSync) -> list[Finding]:
    """Return why the API server or one of its webhooks would refuse a sync."""
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
    except (Unauthorized, Unreachable):
        raise
    except NotFound:
        return []  # the namespace is in the files only
    except ApiError as error:
        return list(_findings(manifest, error))
    return []


def _document(manifest: Manifest, sync: ConfigMapSync) -> dict[str, Any]:
    """Return the object as the file has it, with the fields that address it."""
    document: dict[str, Any] = manifest.node.plain()
    document["metadata"] = manifest.metadata | sync.key._asdict()
    document["metadata"].pop("generateName", None)
    document.pop("status", None)
    return document


def _findings(manifest: Manifest, error: ApiError) -> Iterator[Finding]:
    """Yield a finding for each cause; a missing namespace may be in the files."""
    causes = [cause for cause in error.causes if cause[0] != "FieldValueNotFound"]
    if not error.causes:
        causes = [("", "", f"the API server rejects it: {error.message}")]
    for _, field, message in causes:
        yield manifest.finding(Severity.ERROR, field, message)
