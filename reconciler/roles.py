"""What the reconciler may do: the rules of its parts, as the roles of `config/rbac/reconciler.yaml`, which `make manifests` writes."""

from kube import access, events, lease_record, service_accounts
from kube.rbac import Role, merged
from reconciler import caches, fights, orphans, reporter, sources, writer

ACCOUNT = "reconciler"
LEASE = "reconciler"

READING_AND_TELLING = merged(
    (
        *caches.RULES,
        *sources.RULES,
        *fights.RULES,
        *orphans.RULES,
        *writer.READS,
        *reporter.RULES,
        *events.RULES,
        *access.RULES,
        *service_accounts.RULES,
    )
)

ROLES = (
    Role("reconciler", "ClusterRole", READING_AND_TELLING, ACCOUNT),
    Role(
        "reconciler-copies", "ClusterRole", merged(writer.WRITES), ACCOUNT
    ),  # apart, to be bound in some namespaces only
    Role("reconciler", "Role", lease_record.rules(LEASE), ACCOUNT),
)
