"""What the certificate tool may do: one Secret and two webhook configurations, by name; `make manifests` writes `config/rbac/certs.yaml` from it."""

from certs.cluster import secret_rules, trust_rules
from kube.rbac import Role

NAME = "webhook"

ROLES = (
    Role("certs", "Role", secret_rules(NAME), "certs"),
    Role("certs", "ClusterRole", trust_rules(NAME), "certs"),
)
