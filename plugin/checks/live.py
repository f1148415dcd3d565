"""Read from a cluster what the checks need, and let its API server judge each sync.

`plugin/commands/check.py` calls it with `--cluster`. A server-side dry run applies the
rights of the user, and the CRD and webhook that are installed. It changes nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec

from cluster.syncs import CONFIGMAPSYNCS
from configmapsync.admission_checks import MOST_LISTED
from configmapsync.content import MOST_SOURCE_KEYS
from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Selector
from kube.client import CONFIGMAPS, ApiServer, all_of
from kube.errors import ApiError, Forbidden, NotFound, Unauthorized, Unreachable
from kube.wire import decode_partial, decoding
from plugin.checks.findings import Finding, Severity, position
from plugin.checks.manifests import Manifest
from plugin.checks.references import Known
from plugin.progress import Progress
from plugin.reading import Reader

FIELD_MANAGER = "kubectl-configmapsync"
APPLY_PATCH = "application/apply-patch+yaml"
PARALLEL_REQUESTS = 8

Checked = tuple[Manifest, ConfigMapSync]


class _Keys(msgspec.Struct, rename="camel"):
    """The keys of a ConfigMap. The values stay undecoded."""

    data: dict[str, msgspec.Raw] | None = None
    binary_data: dict[str, msgspec.Raw] | None = None


_keys_decoder = msgspec.json.Decoder(_Keys)


async def read_known(
    connection: ApiServer, progress: Progress, syncs: Iterable[ConfigMapSync]
) -> Known:
    """Return the namespaces and syncs of a cluster, and the ConfigMaps that matter to syncs.

    Args:
        connection: the API server.
        progress: shows the present step.
        syncs: those of the files.

    Raises:
        MissingApiError: the cluster does not serve ConfigMapSyncs.
        ApiError: an object could not be read.
    """
    reader = Reader(connection, progress)
    known = Known(namespaces=await reader.namespaces(), complete=True)
    known.syncs = {
        record.key: record.sync for record in await reader.syncs() if record.sync is not None
    }
    progress.step("reading sources and destinations")
    wanted = list(syncs)
    sources = {sync.source for sync in wanted}
    keyed = {sync.source for sync in wanted if sync.spec.keys}
    destinations = {key for sync in wanted for key in _first_destinations(sync, known)}
    slots = asyncio.Semaphore(PARALLEL_REQUESTS)

    async def read_one(key: NamespacedName) -> None:
        async with slots:
            await _read_configmap(reader, known, key, with_keys=key in keyed)

    await all_of(read_one(key) for key in sorted(sources | destinations))
    return known


def _first_destinations(sync: ConfigMapSync, known: Known) -> Iterator[NamespacedName]:
    names = sorted(one.name for one in Selector.of(sync, known.protected).among(known.namespaces))
    return (NamespacedName(name, sync.destination_name) for name in islice(names, MOST_LISTED))


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
        content = _keys_decoder.decode(answer) if with_keys else None
    found = (*(content.data or ()), *(content.binary_data or ())) if content else ()
    readable = content is not None and len(found) <= MOST_SOURCE_KEYS
    known.configmaps[key] = frozenset(found) if readable else None
    if labels.get(MANAGED_BY_LABEL) == MANAGED_BY_VALUE:
        known.managed.add(key)


async def dry_run(
    connection: ApiServer, progress: Progress, checked: Iterable[Checked]
) -> list[Finding]:
    """Return what the API server and its webhooks say to each sync.

    Raises:
        ApiError: the API server could not be asked.
    """
    progress.step("asking the API server to admit each sync")
    slots = asyncio.Semaphore(PARALLEL_REQUESTS)

    async def ask(manifest: Manifest, sync: ConfigMapSync) -> list[Finding]:
        async with slots:
            findings = await _ask(connection, manifest, sync)
        progress.did()
        return findings

    answers = await all_of(ask(manifest, sync) for manifest, sync in checked)
    return [finding for findings in answers for finding in findings]


async def _ask(connection: ApiServer, manifest: Manifest, sync: ConfigMapSync) -> list[Finding]:
    try:
        await connection.request(
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


def _document(manifest: Manifest, sync: ConfigMapSync) -> dict[str, object]:
    """Return the object as the file has it, with the fields that address it."""
    document = manifest.node.plain()
    document["metadata"] = {**(document.get("metadata") or {}), **sync.key._asdict()}
    document["metadata"].pop("generateName", None)
    document.pop("status", None)
    return {str(key): value for key, value in document.items()}


def _findings(manifest: Manifest, error: ApiError) -> Iterator[Finding]:
    """Yield a finding for each cause; a missing namespace may be in the files."""
    causes = [cause for cause in error.causes if cause[0] != "FieldValueNotFound"]
    if not error.causes:
        causes = [("", "", f"the API server rejects it: {error.message}")]
    for _, field, message in causes:
        line, column = position(manifest.node, field)
        yield Finding(manifest.file, line, column, Severity.ERROR, str(manifest), field, message)
