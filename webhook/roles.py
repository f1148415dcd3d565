"""What the webhook may do: the rules of its parts, as the role of
`config/rbac/webhook.yaml`, which `make manifests` writes. It changes nothing.
"""

from kube import access, service_accounts
from kube.rbac import Role, merged
from webhook import cluster_state as world

ROLES = (
    Role(
        "webhook",
        "ClusterRole",
        merged((*world.RULES, *access.RULES, *service_accounts.RULES)),
        "webhook",
    ),
)
