"""The judgement: one review and one view of the world in, errors and warnings out. Pure.

Which parts of a review count (`exempt`, `mutation`), and what is wrong or doubtful about a sync (`check`, `warnings`). The order of the
judgement, and all waiting, is in `admission.py`. The rules themselves are `configmapsync`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from configmapsync.content import idle_keys
from configmapsync.defaulting import default_document
from configmapsync.destination_paths import Targets, idle_targets
from configmapsync.fielderrors import ErrorKind, FieldError, forbidden, invalid, not_found
from configmapsync.graph.allocation import format_path
from configmapsync.names import (
    GROUP,
    PLURAL,
    SYNC_DISABLED_LABEL,
    SYNC_DISABLED_VALUE,
    NamespacedName,
)
from configmapsync.resource import ConfigMapSync, ConflictPolicy
from configmapsync.selection import Namespace
from configmapsync.validation import doubtful_metadata
from webhook.review import Document, Request, Review

CHECKED_OPERATIONS = frozenset({"CREATE", "UPDATE"})

# More of one kind in one answer is no longer read, and the API server cuts warnings off.
MOST_LISTED = 8


Contest = tuple[NamespacedName, NamespacedName]  # a destination, and the other sync that writes it


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What may be known of the world for one judgement.

    Attributes:
        namespaces: all namespaces, those that the spec names confirmed by a live read.
        protected: namespaces that only an exact name selects.
        cycle: the ConfigMaps of a loop that the sync would close, or None.
        contested: destinations that another sync writes, with that sync.
        visible: those of the other syncs that the requesting user may see.
        readable: those steps of the loop that the requesting user may read.
        source_missing: whether the source ConfigMap is known not to be there.
        source_keys: the keys of the source; None if they were not read.
        in_the_way: destinations where a ConfigMap stands that no sync manages.
    """

    namespaces: Mapping[str, Namespace]
    protected: frozenset[str]
    cycle: tuple[NamespacedName, ...] | None = None
    contested: tuple[Contest, ...] = ()
    visible: frozenset[NamespacedName] = frozenset()
    readable: frozenset[NamespacedName] = frozenset()
    source_missing: bool = False
    source_keys: frozenset[str] | None = None
    in_the_way: tuple[NamespacedName, ...] = ()


@dataclass(frozen=True, slots=True)
class AdmissionInput:
    """The sync that is judged, beside what it was.

    Attributes:
        sync: as it would be, with defaults.
        targets: where its destinations stand in the spec.
        previous: as it was, with defaults; None for a new one, and for one that cannot be read.
    """

    sync: ConfigMapSync
    targets: Targets
    previous: ConfigMapSync | None


def exempt(review: Review) -> str | None:
    """Return why a review needs no judgement, or None. A bad spec must never block a label, a finalizer or a deletion."""
    request = review.request
    if not _is_ours(request):
        return "another resource"
    if request.operation not in CHECKED_OPERATIONS or request.sub_resource:
        return "another operation"
    if review.new and review.new.metadata.deletion_timestamp:
        return "being deleted"
    if review.spec_is_unchanged:
        return "the spec is as it was"
    return None


def mutation(review: Review) -> list[Document]:
    """Return the JSON patch that stores the static defaults; empty if nothing changes."""
    present = review.new.shallow_spec() if review.new else None
    if present is None:
        return []  # the API server's schema refuses it in better words
    wanted = default_document(present)
    removed = [{"op": "remove", "path": f"/spec/{key}"} for key in present if key not in wanted]
    return removed + [
        {"op": "replace" if key in present else "add", "path": f"/spec/{key}", "value": value}
        for key, value in wanted.items()
        if key not in present or present[key] != value
    ]


def check(sync_input: AdmissionInput, view: Snapshot) -> list[FieldError]:
    """Return everything that is wrong about a sync whose author may do all that it does."""
    errors = [*_missing_namespaces(sync_input, view), *_self_sync(sync_input)]
    if _edges(sync_input.sync) != _edges(sync_input.previous):
        # An update that draws no new edge is not to blame for a loop or a contest that is there: its owner may still edit it.
        errors += [*_loop(sync_input, view), *_contested_copies(sync_input, view)]
    return errors


def warnings(sync_input: AdmissionInput, view: Snapshot) -> list[str]:
    """Return what may be a mistake, and may be just what is wanted."""
    return [
        *_suspended(sync_input.sync),
        *_missing_source(sync_input.sync, view),
        *_idle_keys(sync_input.sync, view),
        *islice(doubtful_metadata(sync_input.sync), MOST_LISTED),
        *_idle_selection(sync_input, view),
        *_disabled(sync_input, view),
        *_contested_matches(sync_input, view),
        *_in_the_way(sync_input.sync, view),
    ]


def _is_ours(request: Request) -> bool:
    return (request.resource.group, request.resource.resource) == (GROUP, PLURAL)


def _missing_namespaces(sync_input: AdmissionInput, view: Snapshot) -> Iterator[FieldError]:
    """What was named before and has gone since does not stand in the way of an edit; what is named anew must be there."""
    known = set(_named_namespaces(sync_input.previous)) if sync_input.previous else set()
    named = [("spec.sourceNamespace", sync_input.sync.source.namespace)]
    named += [(path, namespace) for namespace, path in sync_input.targets.named.items()]
    for path, name in named:
        namespace = view.namespaces.get(name)
        if name in known:
            continue
        if namespace is None:
            yield not_found(path, name)
        elif namespace.terminating:
            yield forbidden(path, f'the namespace "{name}" is being terminated')


def _named_namespaces(sync: ConfigMapSync) -> Iterator[str]:
    yield sync.source.namespace
    yield from sync.spec.destination_namespaces
    if sync.spec.destination_namespace:
        yield sync.spec.destination_namespace


def _self_sync(sync_input: AdmissionInput) -> Iterator[FieldError]:
    sync = sync_input.sync
    path = sync_input.targets.named.get(sync.source.namespace)
    if path and sync.destination_name == sync.source.name:
        yield invalid(path, sync.source.namespace, f"{sync.source} is the source itself")


def _loop(sync_input: AdmissionInput, view: Snapshot) -> Iterator[FieldError]:
    if view.cycle:
        namespace = _first_step(sync_input.sync, view.cycle)
        path = sync_input.targets.path_to(namespace)
        own = {sync_input.sync.source, NamespacedName(namespace, sync_input.sync.destination_name)}
        shown = [step in own or step in view.readable for step in view.cycle]
        yield invalid(path, namespace, f"would close a loop: {format_path(view.cycle, shown)}")


def steps_to_ask(cycle: Sequence[NamespacedName] | None) -> Sequence[NamespacedName]:
    """Return the steps of a loop that are shown if the user may read them; the sync itself names the others."""
    return cycle[2:-1][:MOST_LISTED] if cycle else ()


def _first_step(sync: ConfigMapSync, cycle: Sequence[NamespacedName]) -> str:
    """Return the namespace that the sync itself copies to on its way round the cycle."""
    steps = pairwise(cycle)
    return next(
        (after.namespace for before, after in steps if before == sync.source), cycle[0].namespace
    )


def _contested_copies(sync_input: AdmissionInput, view: Snapshot) -> Iterator[FieldError]:
    """Refuse contested destinations that are named exactly."""
    exact, _ = contests_by_form(sync_input, view.contested)
    for destination, other in exact[:MOST_LISTED]:
        path = sync_input.targets.path_to(destination.namespace)
        yield FieldError(
            path,
            ErrorKind.DUPLICATE,
            str(destination),
            f"is already written by {_writer(other, view)}",
        )


def _contested_matches(sync_input: AdmissionInput, view: Snapshot) -> Iterator[str]:
    """Warn of contested destinations that only a glob or the selector reaches.

    If they were errors, any tenant could veto a sync for all namespaces by claiming its name in one namespace.
    """
    if _edges(sync_input.sync) == _edges(sync_input.previous):
        return
    _, matched = contests_by_form(sync_input, view.contested)
    for destination, other in matched[:MOST_LISTED]:
        path = sync_input.targets.path_to(destination.namespace)
        yield f"{path}: ConfigMap {destination} is already written by {_writer(other, view)}; the older sync keeps it"
    if (more := len(matched) - MOST_LISTED) > 0:
        yield f"at least {more} more destinations are already written by other ConfigMapSyncs"


def contests_by_form(
    sync_input: AdmissionInput, contested: Sequence[Contest]
) -> tuple[list[Contest], list[Contest]]:
    """Split contested destinations into those that are named exactly and those that a glob or the selector reaches."""
    exact = [contest for contest in contested if contest[0].namespace in sync_input.targets.named]
    return exact, [
        contest for contest in contested if contest[0].namespace not in sync_input.targets.named
    ]


def _writer(other: NamespacedName, view: Snapshot) -> str:
    return f"ConfigMapSync {other}" if other in view.visible else "another ConfigMapSync"


def _edges(sync: ConfigMapSync | None) -> object:
    """Return what decides from where to where a sync copies."""
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


def _suspended(sync: ConfigMapSync) -> Iterator[str]:
    if sync.spec.suspend:
        yield "spec.suspend: nothing is copied while the sync is suspended"


def _missing_source(sync: ConfigMapSync, view: Snapshot) -> Iterator[str]:
    if view.source_missing:
        yield f"spec.configMapName: there is no ConfigMap {sync.source} yet; the copies are made when there is"


def _idle_keys(sync: ConfigMapSync, view: Snapshot) -> Iterator[str]:
    """Name the first selections of keys that match nothing, for example because of a typo."""
    if view.source_keys is not None:
        yield from idle_keys(sync.spec.keys, view.source_keys)[:MOST_LISTED]


def _idle_selection(sync_input: AdmissionInput, view: Snapshot) -> Iterator[str]:
    """Name the first globs and selectors that select nothing, mistyped or ahead of their time."""
    idle = idle_targets(sync_input.sync, view.namespaces, view.protected)
    for path, value in islice(idle, MOST_LISTED):
        yield f"{path}: {value} matches no namespace now"


def _disabled(sync_input: AdmissionInput, view: Snapshot) -> Iterator[str]:
    for name, path in sync_input.targets.named.items():
        namespace = view.namespaces.get(name)
        if namespace and namespace.disabled:
            yield f'{path}: the namespace "{name}" is labelled {SYNC_DISABLED_LABEL}: {SYNC_DISABLED_VALUE} and gets nothing'


def _in_the_way(sync: ConfigMapSync, view: Snapshot) -> Iterator[str]:
    if sync.spec.conflict_policy is ConflictPolicy.FAIL:
        for destination in view.in_the_way:
            yield f"ConfigMap {destination} exists and is managed by no sync; it is left alone (conflictPolicy: Fail)"
