"""What the reconciler may do: the rules of its parts, as the roles of `config/rbac/reconciler.yaml`, which `make manifests` writes."""

from kube import access, events, lease_record, service_accounts
from kube.rbac import Role, merged
from reconciler.known import caches, orphans, sources
from reconciler.reports import status as reporter
from reconciler.writes import contention, writer

ACCOUNT = "reconciler"
LEASE = "reconciler"

READ_RULES = merged(
    (
        *caches.RULES,
        *sources.RULES,
        *contention.RULES,
        *orphans.RULES,
        *writer.READS,
        *reporter.RULES,
        *events.RULES,
        *access.RULES,
        *service_accounts.RULES,
    )
)

ROLES = (
    Role("reconciler", "ClusterRole", READ_RULES, ACCOUNT),
    Role(
        "reconciler-copies", "ClusterRole", merged(writer.WRITES), ACCOUNT
    ),  # apart, to be bound in some namespaces only
    Role("reconciler", "Role", lease_record.rules(LEASE), ACCOUNT),
)
