"""Word the messages of the reasons, as conditions, failures and events show them.

The modules that choose a reason of `reasons.py` call it, and it decides nothing. The
longer texts of the plugin and of the page are in `explanations.py`.
"""

# Some texts consist of what they describe, and are worded beside it:
# - NotAuthorized: `permissions.py`, for each missing right
# - Contested: `contention.py`, for each kind of interference
# - LoopDetected: `graph/allocation.py`, with the loop spelled out
# - WriteFailed and TooLarge of a write: `reconciler/writes/failures.py`, for each kind of error
# - the summary of a whole sync: `conditions.py`

from configmapsync.content import MOST_SOURCE_KEYS, SourceObject
from configmapsync.copies import CopyRecord
from configmapsync.names import SYNC_DISABLED_LABEL, SYNC_DISABLED_VALUE, NamespacedName

SUSPENDED = "spec.suspend is true: copies stay as they are"


def source_not_found(source: NamespacedName) -> str:
    """Return the message of SourceNotFound."""
    return f'source ConfigMap "{source}" not found'


def source_unreadable(source: NamespacedName, error: object) -> str:
    """Return the message of NotAuthorized for a source that the reconciler cannot read."""
    return f'source ConfigMap "{source}" or the right to it may not be read: {error}'


def too_many_keys(source: SourceObject) -> str:
    """Return the message of TooLarge for a source with too many keys."""
    return (
        f'source ConfigMap "{source.key}" has {source.too_many_keys} keys, and at most '
        f"{MOST_SOURCE_KEYS} are copied: split it, or put the values into fewer keys"
    )


def source_is_copy(namespace: str) -> str:
    """Return the message of InvalidSpec for a copy that would be the source itself."""
    return f'the copy in namespace "{namespace}" would be the source itself'


def namespace_not_found(namespace: str) -> str:
    """Return the message of NamespaceNotFound."""
    return f'namespace "{namespace}" not found'


def namespace_terminating(namespace: str) -> str:
    """Return the message of NamespaceTerminating."""
    return f'namespace "{namespace}" is being terminated'


def namespace_disabled(namespace: str) -> str:
    """Return the message of NamespaceDisabled."""
    return f'namespace "{namespace}" is labelled {SYNC_DISABLED_LABEL}: {SYNC_DISABLED_VALUE}'


def unmanaged(existing: CopyRecord) -> str:
    """Return the message of DestinationConflict for a ConfigMap that no sync may change."""
    return (
        f'ConfigMap "{existing.key}" exists and {_state(existing)}; delete it, '
        "choose another destinationConfigMapName, or set conflictPolicy: Adopt"
    )


def not_adoptable(existing: CopyRecord) -> str:
    """Return the message of DestinationConflict for an immutable ConfigMap with other content."""
    state = f"{_state(existing)} and is immutable"
    return f'ConfigMap "{existing.key}" {state}: it cannot be adopted; delete it'


def _state(existing: CopyRecord) -> str:
    if existing.cloned:
        return f'is a clone of the copy "{existing.destination}"'
    return "is not managed by ConfigMapSync"


def not_recreated(copy: CopyRecord) -> str:
    """Return the message of DestinationConflict for an immutable copy with other content."""
    policies = "the policies of its ConfigMapSync (Orphan, Retain) never delete a copy"
    return (
        f'ConfigMap "{copy.key}" is immutable and {"was adopted" if copy.adopted else policies}: '
        "delete it, and it is created with the new content"
    )


def owned_by(copy: CopyRecord) -> str:
    """Return the message of DestinationContested for a copy of another sync."""
    owner = copy.synced_by or "another sync"
    return f'ConfigMap "{copy.key}" is the copy of ConfigMapSync "{owner}"'


def written_by_older(key: NamespacedName, writer: NamespacedName | None) -> str:
    """Return the message of DestinationContested for a destination that an older sync claims."""
    return f'ConfigMap "{key}" is written by the older ConfigMapSync "{writer}"'


def to_be_written(verb: str, cause: str) -> str:
    """Return the message of Progressing for a write that has not ended."""
    return f"to {verb}: {cause}"


def being_deleted(key: NamespacedName) -> str:
    """Return the message of Progressing for a ConfigMap that is being deleted."""
    return f'ConfigMap "{key}" is being deleted; it is created again afterwards'


def changed_by_admission(key: NamespacedName, verb: str) -> str:
    """Return the message of Progressing for a write that an admission webhook changed."""
    return f"{verb} {key}: admission changed what was written"
