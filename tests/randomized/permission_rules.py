"""Rights, quotas and admission policies that come and go while the reconciler works.

No watch reports any of them, so only a retry can notice that a refusal has ended.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.randomized.expected import Key
from tests.randomized.fault_plan import FaultKind, FaultPlan, Request
from tests.randomized.machine import RandomRuns
from tests.randomized.simulation import SYNCS
from tests.randomized.tampering import namespace_names, sync_keys

RBAC = "rbac.authorization.k8s.io"
ROLES, BINDINGS = (RBAC, "clusterroles"), (RBAC, "clusterrolebindings")
ACCOUNTS, QUOTAS = ("", "serviceaccounts"), ("", "resourcequotas")
ACCOUNT, NAME = "robot", "copies"
RULES = [
    {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "verbs": ["get", "create", "update", "delete"],
    }
]


@dataclass(slots=True)
class PolicyPlan(FaultPlan):
    """Faults, and the namespaces in which an admission policy denies every write."""

    denying: set[str] = field(default_factory=set)

    def next_fault(self, request: Request) -> FaultKind | None:
        if request.writes and any(f"/{name}/configmaps" in request.path for name in self.denying):
            return FaultKind.DENIED
        return FaultPlan.next_fault(self, request)


class Permissions(RandomRuns):
    """Random runs with refusals. At the end every cause of a refusal is gone."""

    faults: PolicyPlan

    @rule(key=sync_keys, account=st.sampled_from((ACCOUNT, ACCOUNT, None)))
    def name_account(self, key: Key, account: str | None) -> None:
        """Let a sync name a service account, or none."""
        self.patch(SYNCS, key, {"spec": {"serviceAccountName": account}})

    @rule(namespace=st.sampled_from(("home", "web")), exists=st.booleans())
    def change_account(self, namespace: str, exists: bool) -> None:
        """Create or delete a service account."""
        metadata = {"name": ACCOUNT, "namespace": namespace}
        self._ensure(ACCOUNTS, metadata, exists=exists)

    @rule(exists=st.booleans())
    def change_role(self, exists: bool) -> None:
        """Create the role, or delete it while its binding stays."""
        self._ensure(ROLES, {"name": NAME}, exists=exists, rules=RULES)

    @rule(exists=st.booleans())
    def change_binding(self, exists: bool) -> None:
        """Bind the role to the service accounts, or unbind it."""
        subjects = [
            {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}
            for namespace in ("home", "web")
        ]
        role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": NAME}
        self._ensure(BINDINGS, {"name": NAME}, exists=exists, roleRef=role, subjects=subjects)

    @rule(namespace=namespace_names, exists=st.booleans())
    def change_quota(self, namespace: str, exists: bool) -> None:
        """Allow no new ConfigMap in a namespace, or end that."""
        metadata = {"name": NAME, "namespace": namespace}
        self._ensure(QUOTAS, metadata, exists=exists, spec={"hard": {"configmaps": "0"}})

    @rule(namespace=namespace_names, denies=st.booleans())
    def change_policy(self, namespace: str, denies: bool) -> None:
        """Let an admission policy deny the reconciler's writes in a namespace, or end that."""
        if denies:
            self.faults.denying.add(namespace)
        else:
            self.faults.denying.discard(namespace)

    def _check_end(self) -> None:
        """End every refusal without a hint to the reconciler, and expect that it notices."""
        self.faults.denying.clear()
        for namespace in ("home", "web", "team-a", "team-b", "kube-system"):
            self.change_quota(namespace=namespace, exists=False)
        for namespace in ("home", "web"):
            self.change_account(namespace=namespace, exists=True)
        self.change_role(exists=True)
        self.change_binding(exists=True)
        super()._check_end()

    def _fault_plan(self) -> FaultPlan:
        return PolicyPlan(random.Random(0))  # noqa: S311 - delays of requests

    def _ensure(
        self, kind: tuple[str, str], metadata: dict[str, str], *, exists: bool, **parts: Any
    ) -> None:
        key = (metadata.get("namespace", ""), metadata["name"])
        if not exists:
            self.remove(kind, key)
        elif self.cluster.find(kind, *key) is None:
            self.put(kind, {"metadata": metadata, **parts})
