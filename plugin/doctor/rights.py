"""Check that the accounts of the operator have the rights that its processes use.

`examination.py` calls `check_rights`. The table repeats what `hack/roles.py` gathers
from the processes, because the plugin imports no process; a test compares both.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from configmapsync.names import GROUP, PLURAL
from configmapsync.permissions import Right, of_service_account
from kube.access import AccessReviews
from plugin.doctor.findings import PREFIX, Finding, Level, Patient, listed
from plugin.terminal import counted

REMEDY = "kubectl apply -k config/rbac, or helm upgrade"
READ = ("list", "watch")
CACHE_SECONDS = 60.0
ADMISSION_GROUP = "admissionregistration.k8s.io"

# By account: verbs, group, resource, and the names that the rights are limited to.
Row = tuple[tuple[str, ...], str, str, tuple[str, ...]]
CLUSTER: Mapping[str, tuple[Row, ...]] = {
    "reconciler": (
        (("list", "watch", "get"), "", "configmaps", ()),
        (("create", "update", "patch", "delete"), "", "configmaps", ()),
        (("create", "patch"), "", "events", ()),
        (READ, "", "namespaces", ()),
        (("get",), "", "serviceaccounts", ()),
        (("list", "watch", "get", "patch"), GROUP, PLURAL, ()),
        (("patch",), GROUP, f"{PLURAL}/status", ()),
        (("create",), "authorization.k8s.io", "subjectaccessreviews", ()),
    ),
    "webhook": (
        (("get",), "", "configmaps", ()),
        (("list", "watch", "get"), "", "namespaces", ()),
        (("get",), "", "serviceaccounts", ()),
        (READ, GROUP, PLURAL, ()),
        (("create",), "authorization.k8s.io", "subjectaccessreviews", ()),
    ),
    "certs": (
        (("get", "update"), ADMISSION_GROUP, "mutatingwebhookconfigurations", ("webhook",)),
        (("get", "update"), ADMISSION_GROUP, "validatingwebhookconfigurations", ("webhook",)),
    ),
}
OWN_NAMESPACE: Mapping[str, tuple[Row, ...]] = {
    "reconciler": (
        (("create",), "coordination.k8s.io", "leases", ()),
        (("get", "watch", "patch"), "coordination.k8s.io", "leases", ("reconciler",)),
    ),
    "webhook": (),
    "certs": (
        (("create",), "", "secrets", ()),
        (("get", "update"), "", "secrets", ("webhook", "webhook-ca")),
        (("list",), "discovery.k8s.io", "endpointslices", ()),
    ),
}


async def check_rights(patient: Patient) -> list[Finding]:
    """Ask the API server for each right of each account."""
    loop = asyncio.get_running_loop()
    reviews = AccessReviews[Right](
        patient.reader.client, loop.time, lambda _allowed: None, CACHE_SECONDS
    )
    found = []
    for component in CLUSTER:
        account = patient.named(component)
        wanted = list(rights_of(component, patient.namespace))
        held = await reviews.may(of_service_account(patient.namespace, account), wanted)
        missing = [right for right in wanted if right not in held]
        found.append(_finding(f"{patient.namespace}/{account}", wanted, missing))
    return found


def rights_of(component: str, namespace: str) -> Iterator[Right]:
    """Return every right of one account, in the names of an installation."""
    yield from _rights(CLUSTER[component], "")
    yield from _rights(OWN_NAMESPACE[component], namespace)


def _rights(rows: Iterable[Row], namespace: str) -> Iterator[Right]:
    for verbs, group, resource, names in rows:
        plain, _, subresource = resource.partition("/")
        for name in names or ("",):
            full_name = f"{PREFIX}{name}" if name else ""
            for verb in verbs:
                yield Right(verb, namespace, full_name, group, plain, subresource)


def _finding(account: str, wanted: list[Right], missing: list[Right]) -> Finding:
    if not missing:
        return Finding(Level.OK, "rights", f"{account} has all {len(wanted)} rights")
    if len(missing) == len(wanted):
        message = f"{account} has no right: the account or its roles are missing"
        return Finding(Level.FAILURE, "rights", message, REMEDY)
    words = [f"{right.verb} {right.resource}" for right in missing]
    message = f"{account} lacks {counted(len(missing), 'right')}: {listed(words)}"
    if all(_is_write_of_copies(right) for right in missing):
        message += " in all namespaces (an installation for some namespaces has them there only)"
        return Finding(Level.WARNING, "rights", message, REMEDY)
    return Finding(Level.FAILURE, "rights", message, REMEDY)


def _is_write_of_copies(right: Right) -> bool:
    return right.resource == "configmaps" and right.verb in {"create", "update", "patch", "delete"}
