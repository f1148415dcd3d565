"""Explain each reason: the cause, the cure, and the commands to run.

The kubectl plugin and the reconciler's page print these texts beside the short message
of the status, which `reason_messages.py` words. A text must contain no value of a
ConfigMap.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from configmapsync.names import SYNC_DISABLED_LABEL, NamespacedName
from configmapsync.reasons import Reason
from configmapsync.resource import ConfigMapSync

# As `config/default` installs it.
OPERATOR_NAMESPACE = "configmapsync-system"
UNKNOWN = "(unknown)"  # in a text; a command with an unknown name is left out
RECONCILER = f"system:serviceaccount:{OPERATOR_NAMESPACE}:configmapsync-reconciler"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an explanation is about: a sync, or one of its destinations.

    Attributes:
        sync: the sync.
        source: its source; None if the spec cannot be read.
        copy_name: the name of its copies; empty if the spec cannot be read.
        account: the user whose rights the sync needs.
        namespace: the destination; for a sync the first failed one, or empty.
    """

    sync: NamespacedName
    source: NamespacedName | None = None
    copy_name: str = ""
    account: str = RECONCILER
    namespace: str = ""

    @classmethod
    def of(cls, sync: ConfigMapSync, namespace: str = "") -> "Subject":
        """Return the subject for a sync, or for its destination in `namespace`."""
        name = sync.spec.service_account_name
        account = f"system:serviceaccount:{sync.key.namespace}:{name}" if name else RECONCILER
        return cls(sync.key, sync.source, sync.destination_name, account, namespace)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a sync or a destination is in its state, and what to do.

    Attributes:
        reason: the word of the status.
        cause: what happened, in one or two sentences.
        cure: what to do; empty if nothing is wrong.
        commands: to run in this order, with quoted names; empty if there is nothing to run.
    """

    reason: str
    cause: str
    cure: str = ""
    commands: tuple[str, ...] = ()


class _Text(NamedTuple):
    """One row of the table. The texts are format strings over the names in `_names`.

    Attributes:
        of_sync: the cause, if the reason is that of a whole sync.
        of_destination: the cause, if the reason is that of one destination.
        cure: what to do.
        commands: to run in this order.
    """

    of_sync: str
    of_destination: str
    cure: str = ""
    commands: tuple[str, ...] = ()


SHOW_SYNC = "kubectl describe configmapsync {name} -n {sync_namespace}"
EDIT_SYNC = "kubectl edit configmapsync {name} -n {sync_namespace}"
DOCTOR = "kubectl configmapsync doctor"

_UNKNOWN_WORD = _Text(
    'This version of the program does not know the reason "{word}".',
    'This version of the program does not know the reason "{word}".',
    "Use the program in the version of the reconciler.",
    (SHOW_SYNC, DOCTOR),
)
_TEXTS: Mapping[str, _Text] = {
    "": _Text(
        "The reconciler has not reported on this sync yet.",
        "The reconciler has not reported on this sync yet.",
        "Check that a reconciler is running.",
        (SHOW_SYNC, DOCTOR),
    ),
    Reason.SYNCED: _Text(
        "Every copy has the content of the source {source}.",
        "The copy has the content of the source {source}.",
    ),
    Reason.PROGRESSING: _Text(
        "The reconciler is writing copies, or waits for a ConfigMap that is being deleted.",
        "The reconciler is writing this copy, or waits until the ConfigMap with its name is "
        "deleted.",
        "Wait. If the state stays for more than a minute, check that a reconciler is running.",
        (
            (
                "kubectl wait configmapsync {name} -n {sync_namespace} --for=condition=Ready "
                "--timeout=60s"
            ),
            DOCTOR,
        ),
    ),
    Reason.SUSPENDED: _Text(
        "spec.suspend is true, so the reconciler writes no copy. Present copies stay.",
        "spec.suspend of the sync is true, so the reconciler does not write this copy.",
        "Set spec.suspend to false when the copies may change again.",
        (
            (
                "kubectl patch configmapsync {name} -n {sync_namespace} --type=merge "
                """-p '{{"spec": {{"suspend": false}}}}'"""
            ),
        ),
    ),
    Reason.SOURCE_NOT_FOUND: _Text(
        "The source ConfigMap {source} does not exist. spec.sourceDeletionPolicy decides "
        "whether the present copies stay.",
        "The source ConfigMap {source} does not exist, so there is nothing to copy.",
        "Create the source, or correct spec.sourceNamespace and spec.configMapName.",
        (
            "kubectl get configmaps -n {source_namespace}",
            "kubectl create configmap {source_name} -n {source_namespace} --from-file=PATH",
        ),
    ),
    Reason.NAMESPACE_NOT_FOUND: _Text(
        "spec names a destination namespace that does not exist.",
        "The sync names the namespace {namespace}, which does not exist.",
        "Create the namespace, or remove it from the spec.",
        ("kubectl create namespace {namespace}", EDIT_SYNC),
    ),
    Reason.NAMESPACE_TERMINATING: _Text(
        "spec names a destination namespace that is being deleted.",
        "The namespace {namespace} is being deleted and accepts no new objects.",
        "Wait until the namespace is gone, then create it again, or remove it from the spec.",
        ("kubectl get namespace {namespace} -o jsonpath='{{.status.conditions}}'",),
    ),
    Reason.NAMESPACE_DISABLED: _Text(
        f"A destination namespace has the label {SYNC_DISABLED_LABEL}=disabled, which forbids "
        "copies.",
        f"The namespace {{namespace}} has the label {SYNC_DISABLED_LABEL}=disabled, which "
        "forbids copies.",
        "Ask the owner of the namespace to remove the label, or remove the namespace from the "
        "spec.",
        (
            "kubectl get namespace {namespace} --show-labels",
            f"kubectl label namespace {{namespace}} {SYNC_DISABLED_LABEL}-",
        ),
    ),
    Reason.DESTINATION_CONFLICT: _Text(
        "A ConfigMap that ConfigMapSync does not manage, or an immutable one that it must not "
        "recreate, has the name of a copy.",
        "The ConfigMap {namespace}/{copy} exists, and this sync may not change it: it is not "
        "managed by ConfigMapSync, or it is immutable.",
        "Look at the ConfigMap. Delete it if nothing needs it. Otherwise set another "
        "spec.destinationConfigMapName, or set spec.conflictPolicy: Adopt, which replaces its "
        "content.",
        (
            "kubectl get configmap {copy} -n {namespace} -o yaml",
            "kubectl delete configmap {copy} -n {namespace}",
        ),
    ),
    Reason.DESTINATION_CONTESTED: _Text(
        "Another sync owns a destination of this sync. The older sync keeps it.",
        "Another sync owns the ConfigMap {namespace}/{copy}. The older sync keeps it.",
        "Remove the destination from one of the two syncs, or set another "
        "spec.destinationConfigMapName.",
        ("kubectl configmapsync explain {namespace}/{copy}", EDIT_SYNC),
    ),
    Reason.CONTESTED: _Text(
        "Another client keeps changing or deleting a copy. The reconciler repairs such a copy "
        "at most once in its contested interval.",
        "Another client keeps changing or deleting the copy {namespace}/{copy}. The reconciler "
        "repairs it at most once in its contested interval.",
        "Stop the other client; the message names its field manager. Or add the namespace to "
        "spec.excludedNamespaces.",
        (
            (
                "kubectl get configmap {copy} -n {namespace} --show-managed-fields "
                "-o jsonpath='{{.metadata.managedFields[*].manager}}'"
            ),
        ),
    ),
    Reason.LOOP_DETECTED: _Text(
        "A copy of this sync would lead back to its own source {source}.",
        "The copy {namespace}/{copy} would lead back to its own source {source}.",
        "Remove one destination from a sync of the loop. The message shows the loop.",
        ("kubectl configmapsync tree {source_namespace}/{source_name}", EDIT_SYNC),
    ),
    Reason.NOT_AUTHORIZED: _Text(
        "The account {account} lacks the right to read the source {source} or to write the copies.",
        "The account {account} lacks the right to read the source {source} or to write the "
        "copy {namespace}/{copy}.",
        "Grant the right that the message names. The reconciler checks again within a minute.",
        (
            (
                "kubectl auth can-i get configmaps/{source_name} -n {source_namespace} "
                "--as={account}"
            ),
            "kubectl auth can-i update configmaps/{copy} -n {namespace} --as={account}",
        ),
    ),
    Reason.TOO_LARGE: _Text(
        "A copy is larger than the API server accepts, or the source {source} has too many keys.",
        "The copy {namespace}/{copy} is larger than the API server accepts.",
        "Make the source smaller, split it, or select fewer keys with spec.keys.",
        ("kubectl describe configmap {source_name} -n {source_namespace}", EDIT_SYNC),
    ),
    Reason.WRITE_FAILED: _Text(
        "The API server refused to write a copy. The message names the quota, policy, webhook "
        "or right that refused it.",
        "The API server refused to write {namespace}/{copy}. The message names the quota, "
        "policy, webhook or right that refused it.",
        "Remove what refuses the write. The reconciler retries by itself.",
        (
            "kubectl get events -n {namespace} --field-selector involvedObject.name={copy}",
            "kubectl get resourcequotas -n {namespace}",
        ),
    ),
    Reason.INVALID_SPEC: _Text(
        "The spec is invalid and was stored while the webhook was not installed.",
        "The spec of the sync is invalid, so the reconciler does not write this copy.",
        "Correct the fields that the message names.",
        (EDIT_SYNC,),
    ),
}


def explain_sync(word: str, subject: Subject) -> Explanation:
    """Return the explanation of the Ready condition of a sync.

    Args:
        word: the reason in the status; empty without a status. Another version of the operator
            may have written it.
        subject: the sync.
    """
    return _filled(word, subject, of_sync=True)


def explain_destination(word: str, subject: Subject) -> Explanation:
    """Return the explanation of one destination; `subject.namespace` is its namespace."""
    return _filled(word, subject, of_sync=False)


def _filled(word: str, subject: Subject, *, of_sync: bool) -> Explanation:
    """Fill the names in; leave out the commands whose objects are unknown."""
    text = _TEXTS.get(word, _UNKNOWN_WORD)
    cause = text.of_sync if of_sync else text.of_destination
    names = _names(subject) | {"word": word}
    unknown = {f"{{{name}}}" for name, value in names.items() if not value}
    known = [each for each in text.commands if not any(name in each for name in unknown)]
    if text.commands and not known:
        known = [SHOW_SYNC]
    quoted = {name: shlex.quote(value) for name, value in names.items()}
    shown = {name: value or UNKNOWN for name, value in names.items()}
    return Explanation(
        str(word),
        cause.format_map(shown),
        text.cure.format_map(shown),
        tuple(command.format_map(quoted) for command in known),
    )


def _names(subject: Subject) -> dict[str, str]:
    source = subject.source
    return {
        "name": subject.sync.name,
        "sync_namespace": subject.sync.namespace,
        "source": str(source) if source else "of the sync",
        "source_namespace": source.namespace if source else "",
        "source_name": source.name if source else "",
        "namespace": subject.namespace,
        "copy": subject.copy_name,
        "account": subject.account,
    }
