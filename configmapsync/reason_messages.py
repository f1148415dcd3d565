"""Word the messages of the reasons, as conditions, failures and events show them.

The functions follow the table of `reasons.py` and decide nothing: `planning.py`,
`selection.py` and others choose the reason. The longer texts of the plugin and of the
page are in `explanations.py`.
"""

# Some texts consist of what they describe, and are worded beside it:
# - NotAuthorized: `permissions.py`, for each missing right
# - LoopDetected: `graph/allocation.py`, with the loop spelled out
# - WriteFailed and TooLarge of a write: `reconciler/writes/failures.py`, for each kind of error
# - the summary of a whole sync: `conditions.py`

from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE, NamespacedName


def source_is_copy(namespace: str) -> str:
    """Return the message of InvalidSpec for a copy that would be the source itself."""
    return f'the copy in namespace "{namespace}" would be the source itself'


def source_unreadable(source: NamespacedName, error: object) -> str:
    """Return the message of NotAuthorized for a source that the reconciler cannot read."""
    return f'source ConfigMap "{source}" or the right to it may not be read: {error}'


def source_not_found(source: NamespacedName) -> str:
    """Return the message of SourceNotFound."""
    return f'source ConfigMap "{source}" not found'


def unmanaged(key: NamespacedName, *, clone_of: NamespacedName | None) -> str:
    """Return the message of DestinationConflict for a ConfigMap that no sync may change."""
    return (
        f'ConfigMap "{key}" exists and {_state(clone_of)}; delete it, '
        "choose another destinationConfigMapName, or set conflictPolicy: Adopt"
    )


def not_adoptable(key: NamespacedName, *, clone_of: NamespacedName | None) -> str:
    """Return the message of DestinationConflict for an immutable ConfigMap with other content."""
    state = f"{_state(clone_of)} and is immutable"
    return f'ConfigMap "{key}" {state}: it cannot be adopted; delete it'


def _state(clone_of: NamespacedName | None) -> str:
    return f'is a clone of the copy "{clone_of}"' if clone_of else "is not managed by ConfigMapSync"


def not_recreated(key: NamespacedName, *, adopted: bool) -> str:
    """Return the message of DestinationConflict for an immutable copy with other content.

    Args:
        key: the copy.
        adopted: whether the copy must stay because it was adopted, and not because of the policies.
    """
    policies = "the policies of its ConfigMapSync (Orphan, Retain) never delete a copy"
    return (
        f'ConfigMap "{key}" is immutable and {"was adopted" if adopted else policies}: '
        "delete it, and it is created with the new content"
    )


def owned_by(key: NamespacedName, owner: NamespacedName | None) -> str:
    """Return the message of DestinationContested for a copy of another sync."""
    return f'ConfigMap "{key}" is the copy of ConfigMapSync "{owner or "another sync"}"'


def written_by_older(key: NamespacedName, writer: NamespacedName | None) -> str:
    """Return the message of DestinationContested for a destination that an older sync claims."""
    return f'ConfigMap "{key}" is written by the older ConfigMapSync "{writer}"'


def contested(what: str, seconds: float) -> str:
    """Return the message of Contested.

    Args:
        what: one of the next three texts.
        seconds: the shortest time between two writes of the reconciler.
    """
    return f"{what}; until that stops, it is written at most every {seconds:g} s"


def keeps_rewriting(key: NamespacedName, manager: str | None) -> str:
    """Return what happens to a copy that another client writes; None if it is not known which."""
    writer = f'field manager "{manager}"' if manager else "something"
    return f'{writer} keeps rewriting ConfigMap "{key}"'


def keeps_deleting(key: NamespacedName) -> str:
    """Return what happens to a copy that another client deletes, or creates again."""
    return f'something keeps deleting ConfigMap "{key}", or bringing it back'


def admission_changes(key: NamespacedName) -> str:
    """Return what happens to a copy that a mutating webhook changes before it is stored."""
    return f'an admission webhook changes what is written to ConfigMap "{key}"'


def too_many_keys(source: NamespacedName, keys: int, most: int) -> str:
    """Return the message of TooLarge for a source with too many keys."""
    return (
        f'source ConfigMap "{source}" has {keys} keys, and at most '
        f"{most} are copied: split it, or put the values into fewer keys"
    )


def namespace_not_found(namespace: str) -> str:
    """Return the message of NamespaceNotFound."""
    return f'namespace "{namespace}" not found'


def namespace_terminating(namespace: str) -> str:
    """Return the message of NamespaceTerminating."""
    return f'namespace "{namespace}" is being terminated'


def namespace_disabled(namespace: str) -> str:
    """Return the message of NamespaceDisabled."""
    return f'namespace "{namespace}" is labelled {SYNC_DISABLED_LABEL}: {SYNC_DISABLED_VALUE}'


def suspended() -> str:
    """Return the message of Suspended."""
    return "spec.suspend is true: copies stay as they are"


def to_be_written(verb: str, cause: str) -> str:
    """Return the message of Progressing for a write that has not ended."""
    return f"to {verb}: {cause}"


def being_deleted(key: NamespacedName) -> str:
    """Return the message of Progressing for a ConfigMap that is being deleted."""
    return f'ConfigMap "{key}" is being deleted; it is created again afterwards'


def changed_by_admission(key: NamespacedName, verb: str) -> str:
    """Return the message of Progressing for a write that an admission webhook changed."""
    return f"{verb} {key}: admission changed what was written"
