"""Check a valid sync against a snapshot of the cluster.

`webhook/admission.py` calls `check` for the errors and `warnings` for the warnings of
one review, and the `check` command of the plugin does so for files. The rules that need
no cluster are in `validation.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from configmapsync.content import unmatched_keys
from configmapsync.destination_paths import DestinationPaths, unmatched_patterns
from configmapsync.fielderrors import ErrorKind, FieldError, forbidden, invalid
from configmapsync.graph.allocation import format_path
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE, NamespacedName
from configmapsync.resource import ConfigMapSync
from configmapsync.selection import Namespace, Selector
from configmapsync.spec import ConflictPolicy
from configmapsync.validation import doubtful_metadata

# Items of one kind in one answer. Users read no more, and the API server cuts warnings off.
MOST_LISTED = 8

# A destination, and the other sync that writes it.
Contest = tuple[NamespacedName, NamespacedName]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of the cluster that the check of one sync reads.

    Attributes:
        namespaces: all namespaces by name. A live read has confirmed that a named one is missing
            or terminating.
        cycle: the ConfigMaps of a loop that the sync would close, from its source back to it; None
            without a loop.
        contested: destinations that another sync writes, with that sync.
        visible: the other syncs that the requesting user may get.
        readable: the ConfigMaps of the loop that the requesting user may get.
        source_missing: whether the source ConfigMap is known not to exist.
        source_keys: the keys of the source; None if they were not read.
        blockers: destinations where a ConfigMap exists that no sync manages.
        complete: whether `namespaces` holds every namespace; files alone do not.
    """

    namespaces: Mapping[str, Namespace]
    cycle: tuple[NamespacedName, ...] | None = None
    contested: tuple[Contest, ...] = ()
    visible: frozenset[NamespacedName] = frozenset()
    readable: frozenset[NamespacedName] = frozenset()
    source_missing: bool = False
    source_keys: frozenset[str] | None = None
    blockers: tuple[NamespacedName, ...] = ()
    complete: bool = True


@dataclass(frozen=True, slots=True)
class AdmissionInput:
    """The sync of one review, and its previous version.

    Attributes:
        sync: the new version, with defaults.
        selector: the compiled selection of the new version.
        targets: the field path of each destination in the spec.
        previous: the old version, with defaults; None for a new sync, and for an old version
            that cannot be parsed.
    """

    sync: ConfigMapSync
    selector: Selector
    targets: DestinationPaths
    previous: ConfigMapSync | None


def check(sync_input: AdmissionInput, snapshot: Snapshot) -> list[FieldError]:
    """Return the errors of a sync. The rights of its user are checked elsewhere.

    Loops and contested destinations are checked only if the edges of the sync change.
    """
    errors = [*_missing_namespaces(sync_input, snapshot), *_self_sync(sync_input)]
    if _edges(sync_input.sync) != _edges(sync_input.previous):
        # An update that adds no edge does not cause a loop or a contest that exists already, so
        # the owner may still edit the sync.
        errors += [*_loop(sync_input, snapshot), *_contested_copies(sync_input, snapshot)]
    return errors


def warnings(sync_input: AdmissionInput, snapshot: Snapshot) -> list[str]:
    """Return what may be a mistake and may be intended."""
    return [
        *_source_warnings(sync_input.sync, snapshot),
        *islice(doubtful_metadata(sync_input.sync), MOST_LISTED),
        *_selection_warnings(sync_input, snapshot),
        *_contested_matches(sync_input, snapshot),
        *_blockers(sync_input.sync, snapshot),
    ]


def _missing_namespaces(sync_input: AdmissionInput, snapshot: Snapshot) -> Iterator[FieldError]:
    """Yield the namespaces that do not exist or are terminating.

    A namespace that the previous version named is not checked: its deletion must not block an
    edit.
    """
    if not snapshot.complete:
        return
    previous = sync_input.previous
    known = {previous.source.namespace, *previous.spec.destination_patterns} if previous else ()
    named = [("spec.sourceNamespace", sync_input.sync.source.namespace)]
    named += [(path, namespace) for namespace, path in sync_input.targets.named.items()]
    for path, name in named:
        namespace = snapshot.namespaces.get(name)
        if name in known:
            continue
        if namespace is None:
            yield FieldError(path, ErrorKind.NOT_FOUND, name)
        elif namespace.terminating:
            yield forbidden(path, f'the namespace "{name}" is being terminated')


def _self_sync(sync_input: AdmissionInput) -> Iterator[FieldError]:
    sync = sync_input.sync
    path = sync_input.targets.named.get(sync.source.namespace)
    if path and sync.destination_name == sync.source.name:
        yield invalid(path, sync.source.namespace, f"{sync.source} is the source itself")


def _loop(sync_input: AdmissionInput, snapshot: Snapshot) -> Iterator[FieldError]:
    if snapshot.cycle:
        source, destination = snapshot.cycle[:2]
        path = sync_input.targets.path_to(destination.namespace)
        visible = snapshot.readable | {source, destination}
        loop = format_path(snapshot.cycle, [step in visible for step in snapshot.cycle])
        yield invalid(path, destination.namespace, f"would close a loop: {loop}")


def steps_to_ask(cycle: Sequence[NamespacedName] | None) -> Sequence[NamespacedName]:
    """Return the ConfigMaps of a loop that are named only if the user may get them.

    At most MOST_LISTED; the rest stays hidden. The source and the first destination are not among
    them, because the spec itself names them.
    """
    return cycle[2:-1][:MOST_LISTED] if cycle else ()


def _contested_copies(sync_input: AdmissionInput, snapshot: Snapshot) -> Iterator[FieldError]:
    """Yield an error for each contested destination that the spec names exactly."""
    exact, _ = contests_by_form(sync_input, snapshot.contested)
    for destination, other in exact[:MOST_LISTED]:
        path = sync_input.targets.path_to(destination.namespace)
        detail = f"is already written by {_writer(other, snapshot)}"
        yield FieldError(path, ErrorKind.DUPLICATE, str(destination), detail)


def _contested_matches(sync_input: AdmissionInput, snapshot: Snapshot) -> Iterator[str]:
    """Yield a warning for each contested destination that only a glob or the selector matches.

    As errors, they would let any tenant veto a sync for all namespaces by claiming its
    destination name in one namespace.
    """
    if _edges(sync_input.sync) == _edges(sync_input.previous):
        return
    _, matched = contests_by_form(sync_input, snapshot.contested)
    for destination, other in matched[:MOST_LISTED]:
        path = sync_input.targets.path_to(destination.namespace)
        writer = _writer(other, snapshot)
        yield (
            f"{path}: ConfigMap {destination} is already written by {writer}; "
            "the older sync keeps the ConfigMap"
        )
    if (more := len(matched) - MOST_LISTED) > 0:
        yield f"at least {more} more destinations are already written by other ConfigMapSyncs"


def contests_by_form(
    sync_input: AdmissionInput, contested: Sequence[Contest]
) -> tuple[list[Contest], list[Contest]]:
    """Return the contested destinations that the spec names exactly, and the others.

    A glob or the label selector matches the others.
    """
    exact: list[Contest] = []
    matched: list[Contest] = []
    for contest in contested:
        named = contest[0].namespace in sync_input.targets.named
        (exact if named else matched).append(contest)
    return exact, matched


def _writer(other: NamespacedName, snapshot: Snapshot) -> str:
    return f"ConfigMapSync {other}" if other in snapshot.visible else "another ConfigMapSync"


def _edges(sync: ConfigMapSync | None) -> object:
    """Return the fields that decide which edges a sync adds to the graph."""
    if sync is None:
        return None
    spec = sync.spec
    return (
        sync.source,
        sync.destination_name,
        spec.destination_namespace,
        frozenset(spec.destination_namespaces),
        spec.destination_namespace_selector,
        frozenset(spec.excluded_namespaces),
    )


def _source_warnings(sync: ConfigMapSync, snapshot: Snapshot) -> Iterator[str]:
    """Yield why nothing, or less than the spec selects, would be copied now."""
    if sync.spec.suspend:
        yield "spec.suspend: no ConfigMap is copied while the sync is suspended"
    if snapshot.source_missing:
        yield (
            f"spec.configMapName: ConfigMap {sync.source} does not exist yet; "
            "the copies are created when it exists"
        )
    if snapshot.source_keys is not None:  # the first keys that match nothing may be typos
        yield from unmatched_keys(sync.spec.keys, snapshot.source_keys)[:MOST_LISTED]


def _selection_warnings(sync_input: AdmissionInput, snapshot: Snapshot) -> Iterator[str]:
    """Yield the first globs and selectors that match nothing, and the disabled namespaces."""
    if snapshot.complete:  # a typo, or a namespace that does not exist yet
        idle = unmatched_patterns(sync_input.targets, sync_input.selector, snapshot.namespaces)
        for path, value in islice(idle, MOST_LISTED):
            yield f"{path}: {value} matches no namespace now"
    for name, path in sync_input.targets.named.items():
        namespace = snapshot.namespaces.get(name)
        if namespace and namespace.disabled:
            yield (
                f'{path}: namespace "{name}" has the label {SYNC_DISABLED_LABEL}: '
                f"{SYNC_DISABLED_VALUE} and receives no copies"
            )


def _blockers(sync: ConfigMapSync, snapshot: Snapshot) -> Iterator[str]:
    if sync.spec.conflict_policy is ConflictPolicy.FAIL:
        for destination in snapshot.blockers:
            yield (
                f"ConfigMap {destination} exists and no sync manages it, "
                "so it is not overwritten (conflictPolicy: Fail)"
            )
