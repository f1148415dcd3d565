"""Check that the accounts of the operator have the rights that its processes use.

`examination.py` calls `check_rights`. The table repeats what `hack/roles.py` gathers
from the processes, because the plugin imports no process; a test compares both.
"""

import asyncio
from collections.abc import Iterator, Mapping

from cluster import namespaces, syncs
from configmapsync.names import GROUP, PLURAL
from configmapsync.permissions import Right, of_service_account
from kube import access, events, lease_record
from kube.client import ENDPOINT_SLICES, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from kube.rbac import Rule
from plugin.doctor.findings import MOST_LISTED, PREFIX, Finding, Level, Patient
from plugin.terminal import counted, listed

REMEDY = "kubectl apply -k config/rbac, or helm upgrade"
CACHE_SECONDS = 60.0
WRITES_OF_COPIES = ("create", "update", "patch", "delete")

# By account; the names are those of `config/default` without their prefix.
WATCHES = (*namespaces.RULES, *syncs.RULES, *access.RULES)
CLUSTER: Mapping[str, tuple[Rule, ...]] = {
    "reconciler": (
        *WATCHES,
        *events.RULES,
        Rule("configmaps", ("list", "watch", "get")),
        Rule("configmaps", WRITES_OF_COPIES),
        Rule(PLURAL, ("get", "patch"), GROUP),
        Rule(f"{PLURAL}/status", ("patch",), GROUP),
    ),
    "webhook": (*WATCHES, Rule("configmaps", ("get",)), Rule("namespaces", ("get",))),
    "certs": tuple(
        Rule(kind.plural, ("get", "update"), kind.group, ("webhook",))
        for kind in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)
    ),
}
OWN_NAMESPACE: Mapping[str, tuple[Rule, ...]] = {
    "reconciler": lease_record.rules("reconciler"),
    "webhook": (),
    "certs": (
        Rule("secrets", ("create",)),
        Rule("secrets", ("get", "update"), names=("webhook", "webhook-ca")),
        Rule(ENDPOINT_SLICES.plural, ("list",), ENDPOINT_SLICES.group),
    ),
}


async def check_rights(patient: Patient) -> list[Finding]:
    """Ask the API server for each right of each account."""
    loop = asyncio.get_running_loop()
    reviews = access.AccessReviews[Right](
        patient.reader.client, loop.time, lambda _allowed: None, CACHE_SECONDS
    )
    found = []
    for component in CLUSTER:
        account = f"{PREFIX}{component}"
        wanted = list(rights_of(component, patient.namespace))
        held = await reviews.may(of_service_account(patient.namespace, account), wanted)
        missing = [right for right in wanted if right not in held]
        found.append(_finding(f"{patient.namespace}/{account}", wanted, missing))
    return found


def rights_of(component: str, own_namespace: str) -> Iterator[Right]:
    """Yield every right of one account, with the object names that `config/default` installs.

    Args:
        component: `reconciler`, `webhook` or `certs`.
        own_namespace: the namespace of the operator.
    """
    for rules, namespace in ((CLUSTER, ""), (OWN_NAMESPACE, own_namespace)):
        for rule in rules[component]:
            resource, _, subresource = rule.resource.partition("/")
            for name in rule.names or ("",):
                full_name = f"{PREFIX}{name}" if name else ""
                for verb in rule.verbs:
                    yield Right(verb, namespace, full_name, rule.group, resource, subresource)


def _finding(account: str, wanted: list[Right], missing: list[Right]) -> Finding:
    if not missing:
        return Finding(Level.OK, "rights", f"{account} has all {len(wanted)} rights")
    if len(missing) == len(wanted):
        message = f"{account} has no right: the account or its roles are missing"
        return Finding(Level.FAILURE, "rights", message, REMEDY)
    words = [f"{right.verb} {right.resource}" for right in missing]
    message = f"{account} lacks {counted(len(missing), 'right')}: {listed(words, MOST_LISTED)}"
    if all(right.resource == "configmaps" and right.verb in WRITES_OF_COPIES for right in missing):
        message += " in all namespaces (an installation for some namespaces has them there only)"
        return Finding(Level.WARNING, "rights", message, REMEDY)
    return Finding(Level.FAILURE, "rights", message, REMEDY)
