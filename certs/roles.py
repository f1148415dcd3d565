"""What the certificate tool may do: two Secrets and two webhook configurations, by name, and a look at the webhook's endpoints.

`make manifests` writes `config/rbac/certs.yaml` from it. What the tool may change in the configurations is limited by the
admission policy in `config/certs/policy.yaml`.
"""

from certs.cluster import secret_rules, trust_rules
from certs.pods import pod_rules
from kube.rbac import Role

NAME = "webhook"
AUTHORITY_NAME = "webhook-ca"

ROLES = (
    Role("certs", "Role", (*secret_rules(NAME), *pod_rules()), "certs"),
    Role(AUTHORITY_NAME, "Role", secret_rules(AUTHORITY_NAME), "certs"),
    Role("certs", "ClusterRole", trust_rules(NAME), "certs"),
)
